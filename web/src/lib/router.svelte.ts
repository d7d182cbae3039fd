/** The address bar. Links are plain `<a href>`; `Router.svelte` takes the clicks on those below `/app`. */

const BASE = '/app';

function read() {
  const path = location.pathname.replace(/\/+$/, '');
  return { path: path.startsWith(BASE) ? path.slice(BASE.length) || '/' : '/', query: new URLSearchParams(location.search) };
}

let current = $state.raw(read());
let moved = false;

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

export function go(path: string, { replace = false } = {}): void {
  history[replace ? 'replaceState' : 'pushState'](null, '', href(path));
  moved = !replace;
  current = read();
}

addEventListener('popstate', () => {
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
  if (link.href !== location.href) history.pushState(null, '', link.href);
  moved = true;
  current = read();
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
