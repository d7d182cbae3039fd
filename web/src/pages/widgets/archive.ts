import { api, unwrap } from '$lib/api/client';
import { m } from '$lib/paraglide/messages';
import { toast } from '$lib/toasts.svelte';
import { confirm } from '$lib/ui/confirm.svelte';
import type { Widget } from './draft';

async function put(widget: Widget, archived: boolean) {
  await unwrap(api.PATCH('/api/v1/widgets/{id}', { params: { path: { id: widget.id } }, body: { archived } }));
}

export function archive(widget: Widget, then: () => Promise<void>): void {
  confirm({
    title: m.widget_archive_title({ name: widget.name }),
    text: m.widget_archive_text(),
    action: m.widget_archive(),
    danger: true,
    run: async () => {
      await put(widget, true);
      toast(m.widget_archived_done({ name: widget.name }));
      await then();
    },
  });
}

export async function restore(widget: Widget, then: () => Promise<void>): Promise<void> {
  await put(widget, false);
  toast(m.widget_restored({ name: widget.name }));
  await then();
}
