/** The address bar. Links are plain `<a href>`; `Router.svelte` takes the clicks on those below `/app`. */

const BASE = '/app';

function read() {
  const path = location.pathname.replace(/\/+$/, '');
  return { path: path.startsWith(BASE) ? path.slice(BASE.length) || '/' : '/', query: new URLSearchParams(location.search) };
}

/** Where this entry is in the tab's history of the app. */
const placed = () => (history.state as { at?: number } | null)?.at ?? 0;

let current = $state.raw(read());
let moved = false;
let at = placed();
/** The next move in the history takes back one that was refused, or was allowed after all. */
let next: 'back' | 'allowed' | undefined;

/** Whether the page may be left now. If not, the guard calls `leave` when it may after all. */
export type Guard = (leave: () => void) => boolean;
const guards = new Set<Guard>();

/** Asks `it` before the page is left for another of the app, until the answer is called. */
export function guard(it: Guard): () => void {
  guards.add(it);
  return () => guards.delete(it);
}

const may = (leave: () => void) => [...guards].every((it) => it(leave));
const isElsewhere = (address: string) => new URL(address, location.href).pathname !== location.pathname;

/** Whether the page that is shown now was come to within the app; true once for each time. */
export function arrived(): boolean {
  const it = moved;
  moved = false;
  return it;
}

export const route = {
  /** Below `/app`, without a slash at the end: `/channels`. */
  get path() {
    return current.path;
  },
  get query() {
    return current.query;
  },
};

/** The address of a page of the app, for `href`. */
export function href(path: string): string {
  return BASE + (path === '/' ? '' : path);
}

function arrive(address: string) {
  if (new URL(address, location.href).href !== location.href) history.pushState({ at: ++at }, '', address);
  moved = true;
  current = read();
}

/** `replace` is for a page that becomes another, as a new thing that is made: it is not left, and nobody is asked. */
export function go(path: string, { replace = false } = {}): void {
  const leave = () => arrive(href(path));
  if (!replace) return void ((!isElsewhere(href(path)) || may(leave)) && leave());
  history.replaceState({ at }, '', href(path));
  moved = false;
  current = read();
}

addEventListener('popstate', () => {
  const steps = placed() - at;
  const why = next;
  next = undefined;
  if (why === 'back') return;
  const leave = () => {
    next = 'allowed';
    history.go(steps);
  };
  if (!why && steps !== 0 && read().path !== current.path && !may(leave)) {
    next = 'back';
    history.go(-steps);
    return;
  }
  at += steps;
  moved = true;
  current = read();
});

/** A click that the browser would follow within the app, and in this tab. */
export function follow(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = (event.target as Element).closest?.('a');
  if (!link || link.target || link.hasAttribute('download') || link.origin !== location.origin) return;
  if (link.pathname !== BASE && !link.pathname.startsWith(BASE + '/')) return;
  event.preventDefault();
  const leave = () => arrive(link.href);
  if (!isElsewhere(link.href) || may(leave)) leave();
}

/** The parameters of `path` if it is like `pattern`: `/channels/:id` and `/channels/42` give `{id: '42'}`. */
export function match(pattern: string, path: string): Record<string, string> | undefined {
  const wanted = pattern.split('/');
  const given = path.split('/');
  if (wanted.length !== given.length) return;
  const found: Record<string, string> = {};
  for (const [index, part] of wanted.entries()) {
    const value = given[index] ?? '';
    if (part.startsWith(':') && value) found[part.slice(1)] = decodeURIComponent(value);
    else if (part !== value) return;
  }
  return found;
}
