import { tick } from 'svelte';
import { m } from './paraglide/messages';
import { guard } from './router.svelte';
import { asked, confirm } from './ui/confirm.svelte';

/** Asks before a page is left, for another of the app or out of it, while it has changes that are not saved. To be called
 * in an `$effect`, of which it is the answer. */
export function keepUnsaved(changed: () => boolean): () => void {
  const release = guard((leave) => {
    if (!changed()) return true;
    confirm({
      title: m.unsaved_title(),
      text: m.unsaved_text(),
      action: m.unsaved_leave(),
      danger: true,
      run: async () => {
        // The dialog gives the focus back before the next page takes it.
        asked.question = undefined;
        await tick();
        leave();
      },
    });
    return false;
  });
  const hold = (event: BeforeUnloadEvent) => changed() && event.preventDefault();
  addEventListener('beforeunload', hold);
  return () => {
    release();
    removeEventListener('beforeunload', hold);
  };
}
