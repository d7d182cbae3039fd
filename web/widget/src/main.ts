import { Widget } from './widget';
import type { Events, Listener, Options } from './types';

/** This script's own address tells where the server is. */
const here = document.currentScript instanceof HTMLScriptElement ? document.currentScript.src : '';
const base = here.replace(/\/widget\.js.*$/, '');

const listeners = new Map<keyof Events, Set<Listener<never>>>();
let widget: Widget | undefined;

function tell<K extends keyof Events>(name: K, event: Events[K]): void {
    for (const listener of listeners.get(name) ?? []) {
        try {
            (listener as Listener<K>)(event);
        } catch (error) {
            console.error('Kabar: a listener failed:', error);
        }
    }
}

/** What pages call, as `Kabar` and as `OktaWa`. */
const api = {
    /** Shows the widget for the visitor that the token names. Whether that went well; a network that is away is waited for. */
    async boot(options: Options): Promise<boolean> {
        api.shutdown();
        if (!options?.token) throw new TypeError('Kabar.boot({ token }): the token is missing');
        const told = <K extends keyof Events>(name: K, event: Events[K]) => {
            const callback = `on${name[0]!.toUpperCase()}${name.slice(1)}` as keyof Options;
            const own = options[callback] as Listener<K> | undefined;
            try {
                own?.(event);
            } catch (error) {
                console.error(`Kabar: ${callback} failed:`, error);
            }
            tell(name, event);
        };
        const booted = (widget = new Widget(base, options, told));
        return booted.begin();
    },
    /** Takes everything away again. */
    shutdown(): void {
        widget?.end();
        widget = undefined;
    },
    open: () => widget?.open(),
    close: () => widget?.close(),
    /** Calls `listener` with each event of this name; what it answers stops that. */
    on<K extends keyof Events>(name: K, listener: Listener<K>): () => void {
        const known = listeners.get(name) ?? new Set();
        listeners.set(name, known.add(listener as Listener<never>));
        return () => void known.delete(listener as Listener<never>);
    },
};

Object.assign(window, { Kabar: api, OktaWa: api });
