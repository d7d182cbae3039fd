/** Short notices of what was done. What went wrong is said where it happened, or here when that place is gone. */

export interface Toast {
  id: number;
  text: string;
  kind: 'done' | 'failed';
}

let last = 0;
const shown = $state<Toast[]>([]);

export const toasts = {
  get shown(): readonly Toast[] {
    return shown;
  },
  dismiss(id: number) {
    const index = shown.findIndex((it) => it.id === id);
    if (index >= 0) shown.splice(index, 1);
  },
};

export function toast(text: string, kind: Toast['kind'] = 'done'): void {
  const id = ++last;
  shown.push({ id, text, kind });
  // Failures stay until they are dismissed.
  if (kind === 'done') setTimeout(() => toasts.dismiss(id), 5000);
}
