type Child = Node | string | null | undefined | false;

/** An element: attributes by name, `on…` are listeners, `true` is an attribute without value. */
export function el<K extends keyof HTMLElementTagNameMap>(
    name: K,
    attributes: Record<string, unknown> = {},
    ...children: Child[]
): HTMLElementTagNameMap[K] {
    const element = document.createElement(name);
    set(element, attributes);
    element.append(...(children.filter((child) => child || child === '') as (Node | string)[]));
    return element;
}

export function set(element: Element, attributes: Record<string, unknown>): void {
    for (const [name, value] of Object.entries(attributes)) {
        if (name.startsWith('on')) element.addEventListener(name.slice(2), value as EventListener);
        else if (value === false || value == null) element.removeAttribute(name);
        else element.setAttribute(name, value === true ? '' : String(value));
    }
}

/** Each drawn in 24 by 24 units. */
export const PATHS = {
    chat: 'M4 4h16a2 2 0 0 1 2 2v9a2 2 0 0 1-2 2h-8l-5 4v-4H4a2 2 0 0 1-2-2V6a2 2 0 0 1 2-2z',
    close: 'M5 5l14 14M19 5L5 19',
    send: 'M3 11.5L21 3l-6.5 18-3.5-7.5z',
    clip: 'M20 11l-8.5 8.5a5 5 0 0 1-7-7L13 4a3.3 3.3 0 0 1 4.7 4.7l-8.500 8.500a1.700 1.700 0 0 1-2.400-2.400L14 7.500',
    file: 'M6 2h8l5 5v15H6zM14 2v5h5',
};

/** A picture of its own kind says nothing to a screen reader. */
export function icon(name: keyof typeof PATHS, filled = false): SVGElement {
    const space = 'http://www.w3.org/2000/svg';
    const svg = document.createElementNS(space, 'svg');
    set(svg, { viewBox: '0 0 24 24', 'aria-hidden': 'true', focusable: 'false', class: filled ? 'filled' : false });
    const path = document.createElementNS(space, 'path');
    set(path, { d: PATHS[name] });
    svg.append(path);
    return svg;
}

/** The text, with its web addresses as links. */
export function linked(text: string): (Node | string)[] {
    const parts = text.split(/(https?:\/\/[^\s<>"']*[^\s<>"'.,;:!?)\]])/);
    return parts.map((part, at) =>
        at % 2 ? el('a', { href: part, target: '_blank', rel: 'noopener noreferrer nofollow', dir: 'ltr' }, part) : part,
    );
}
