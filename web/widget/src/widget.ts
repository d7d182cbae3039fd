import { Connection, Refusal } from './connection';
import { Panel } from './panel';
import type { Events, Message, Options, Session } from './types';

type Tell = <K extends keyof Events>(name: K, event: Events[K]) => void;

interface Page {
    data: Message[];
    meta: { next_cursor: string | null };
}

/** A message of this page that the server has not shown back yet. */
export interface Draft {
    client_id: string;
    body: string;
    files: { id: string; name: string }[];
    at: string;
    state: 'sending' | 'sent' | 'failed';
    /** Why it failed, when that is the visitor's matter. */
    reason?: string;
}

/** How often a message is tried by itself while the network is away. */
const TRIES = 4;
/** Links to files are good for a quarter of an hour. */
const FRESH = 14 * 60_000;

const wait = (time: number) => new Promise((done) => setTimeout(done, time));

/** A name of its own, also on pages without a secure context. */
function name(): string {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** One visitor's widget on this page. */
export class Widget {
    readonly connection: Connection;
    private panel: Panel | undefined;
    private session: Session | undefined;
    private messages = new Map<string, Message>();
    private drafts: Draft[] = [];
    private cursor: string | null | undefined;
    private unread = 0;
    private loaded = 0;
    private following = false;
    private wanted = false;
    private reading: string | undefined;
    private refused = false;
    /** Messages leave one after the other, so that they arrive as they were written. */
    private line = Promise.resolve();

    constructor(
        base: string,
        private readonly options: Options,
        private readonly tell: Tell,
    ) {
        this.connection = new Connection(base, options.token, options.onTokenExpiring);
    }

    async begin(): Promise<boolean> {
        for (let tries = 0; !this.connection.ended; tries++) {
            try {
                await this.start();
                return !this.connection.ended;
            } catch (error) {
                if (!(error instanceof Refusal)) throw error;
                if (error.status && error.status < 500 && error.status !== 429) {
                    this.refuse(error);
                    return false;
                }
                await wait(error.wait || Math.min(30_000, 1000 * 2 ** tries));
            }
        }
        return false;
    }

    private async start(): Promise<void> {
        const page = document.documentElement.lang;
        const languages = this.options.lang ? [this.options.lang] : [...(page ? [page] : []), ...navigator.languages];
        const { data } = await this.connection.call<{ data: Session }>('POST', '/session', { languages });
        if (this.connection.ended) return;
        this.session = data;
        this.connection.lastEvent = data.position;
        this.connection.renewIn(data.expires_in);
        this.panel = new Panel(this, data);
        this.count(data.unread);
        if (data.conversation_id) this.follow();
        this.tell('ready', { slug: data.slug, language: data.language });
        if (this.wanted) this.open();
    }

    end(): void {
        this.connection.end();
        this.panel?.remove();
        this.panel = undefined;
    }

    open(): void {
        this.wanted = true;
        if (!this.panel || this.panel.isOpen) return;
        this.panel.open();
        this.follow();
        if (Date.now() - this.loaded > FRESH) void this.load();
        else this.read();
        this.tell('open', undefined);
    }

    close(): void {
        this.wanted = false;
        if (!this.panel?.isOpen) return;
        this.panel.close();
        this.panel.badge(this.unread);
        this.tell('close', undefined);
    }

    private refuse(error: Refusal): void {
        if (this.refused) return;
        this.refused = true;
        console.warn(`Kabar: ${error.message} (${error.status})`);
        this.tell('error', error.event);
        this.panel?.finish();
    }

    /** What the visitor does: where the token is good no more, the widget ends. */
    private async call<T>(method: string, path: string, body: unknown): Promise<T> {
        try {
            return await this.connection.call<T>(method, path, body);
        } catch (error) {
            if (error instanceof Refusal && (error.status === 401 || error.status === 403)) this.refuse(error);
            throw error;
        }
    }

    private count(unread: number): void {
        if (unread !== this.unread || !unread) this.panel?.badge(unread);
        if (unread !== this.unread) this.tell('unread', { count: unread });
        this.unread = unread;
    }

    private follow(): void {
        if (this.following) return;
        this.following = true;
        let away = false;
        void this.connection.follow(
            (kind, event) => {
                if (kind === 'message') this.hear(event as Message);
                else if (kind === 'typing') this.panel?.type();
                else if (kind === 'read') this.shown((event as { id: string }).id);
            },
            (there, refused) => {
                if (refused) return this.refuse(refused);
                this.panel?.connected(there);
                if (there && away) this.resend();
                away = !there;
            },
        );
    }

    private hear(message: Message): void {
        const before = this.messages.get(message.id);
        this.messages.set(message.id, before?.read ? { ...message, read: true } : message);
        if (message.client_id) this.drafts = this.drafts.filter((draft) => draft.client_id !== message.client_id);
        if (!before) {
            this.tell('message', message);
            if (message.from === 'agent' && !message.read) this.count(this.unread + 1);
        }
        this.render(!before);
        this.read();
    }

    private shown(id: string): void {
        const message = this.messages.get(id);
        if (message?.read) return;
        if (message) message.read = true;
        this.count(Math.max(0, this.unread - 1));
    }

    /** Tells the server what the visitor has before their eyes. */
    read(): void {
        if (!this.panel?.isOpen || document.visibilityState !== 'visible' || !this.unread) return;
        const last = this.sorted().findLast((message) => message.from === 'agent');
        if (!last || last.id === this.reading) return;
        this.reading = last.id;
        const back = () => {
            if (this.reading === last.id) this.reading = undefined;
        };
        this.connection.call('POST', '/read', { message_id: last.id }).then(back, back);
        for (const message of this.messages.values()) message.read ||= message.from === 'agent';
        this.count(0);
    }

    /** The newest messages, or those before what is there. */
    async load(earlier = false): Promise<void> {
        const cursor = earlier && this.cursor ? `?cursor=${this.cursor}` : '';
        try {
            const page = await this.connection.call<Page>('GET', `/messages${cursor}`);
            for (const message of page.data) {
                this.messages.set(message.id, message);
                this.drafts = this.drafts.filter((draft) => draft.client_id !== message.client_id);
            }
            if (earlier || this.cursor === undefined) this.cursor = page.meta.next_cursor;
            this.loaded = Date.now();
            this.render(!earlier);
            this.read();
        } catch (error) {
            if (error instanceof Refusal && error.status === 0) this.panel?.connected(false);
            else if (error instanceof Refusal) this.refuse(error);
        }
    }

    private sorted(): Message[] {
        return [...this.messages.values()].sort((a, b) => (a.at === b.at ? (a.id < b.id ? -1 : 1) : a.at < b.at ? -1 : 1));
    }

    private render(down: boolean): void {
        this.panel?.show(this.sorted(), this.drafts, !!this.cursor, down);
    }

    get isEmpty(): boolean {
        return !this.messages.size && !this.drafts.length && !this.session?.conversation_id;
    }

    send(body: string, files: Draft['files']): void {
        const draft: Draft = { client_id: name(), body, files, at: new Date().toISOString(), state: 'sending' };
        this.drafts.push(draft);
        this.render(true);
        this.post(draft);
    }

    retry(draft: Draft): void {
        if (draft.state === 'failed') this.post(draft);
    }

    private resend(): void {
        for (const draft of this.drafts) this.retry(draft);
    }

    private post(draft: Draft): void {
        draft.state = 'sending';
        delete draft.reason;
        this.render(false);
        this.line = this.line.then(() => this.deliver(draft));
    }

    /** The server takes a message once, however often it is sent. */
    private async deliver(draft: Draft): Promise<void> {
        for (let tries = 1; !this.connection.ended; tries++) {
            try {
                await this.call('POST', '/messages', {
                    client_id: draft.client_id,
                    body: draft.body,
                    attachments: draft.files.map((file) => file.id),
                    page: location.href.split('#')[0],
                    language: this.session?.language,
                });
                draft.state = 'sent';
                break;
            } catch (error) {
                if (!(error instanceof Refusal)) {
                    draft.state = 'failed';
                    break;
                }
                const passes = error.status === 0 || error.status >= 500;
                if (passes && tries < TRIES) {
                    await wait(error.wait || 1000 * 2 ** tries);
                    continue;
                }
                draft.state = 'failed';
                if (error.status === 429) draft.reason = this.session?.strings['slow_down'];
                else if (error.status === 422) draft.reason = error.message;
                break;
            }
        }
        this.follow();
        this.render(false);
    }

    async upload(file: File): Promise<string> {
        const form = new FormData();
        form.append('file', file, file.name);
        const { data } = await this.call<{ data: { id: string } }>('POST', '/attachments', form);
        return data.id;
    }

    async answer(fields: Record<string, string>): Promise<void> {
        await this.call('PATCH', '/profile', { fields, language: this.session?.language });
    }
}
