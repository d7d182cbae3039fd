import { el, icon, linked, set } from './dom';
import { Refusal } from './connection';
import { dress } from './style';
import type { Attachment, Message, Question, Session } from './types';
import type { Draft, Widget } from './widget';

const NARROW = '(max-width: 480px)';
/** After the last sign of it. */
const TYPING = 6000;
const ATTACHMENTS = 5;

interface Upload {
    row: HTMLLIElement;
    name: string;
    id?: string;
    failed?: boolean;
}

/** What the visitor sees: the launcher, and the panel that it opens. */
export class Panel {
    isOpen = false;
    private readonly host = el('div', { id: 'kabar-widget' });
    private readonly root: ShadowRoot;
    private readonly frame: HTMLElement;
    private readonly launcher: HTMLButtonElement;
    private readonly panel: HTMLElement;
    private readonly log: HTMLElement;
    private readonly typing: HTMLElement;
    private readonly notice: HTMLElement;
    private readonly composer: HTMLFormElement;
    private readonly field: HTMLTextAreaElement;
    private readonly picker: HTMLInputElement;
    private readonly uploads: HTMLUListElement;
    private readonly sender: HTMLButtonElement;
    private ask: HTMLFormElement | undefined;
    private files: Upload[] = [];
    private shown = new Map<string, HTMLElement>();
    private typingTimer = 0;
    private readonly stop = new AbortController();
    private isFinished = false;
    private readonly dark = matchMedia('(prefers-color-scheme: dark)');

    constructor(
        private readonly widget: Widget,
        private readonly session: Session,
    ) {
        const { strings: say, appearance, direction, language } = session;
        this.root = this.host.attachShadow({ mode: 'open' });
        dress(this.root, appearance);

        this.launcher = el('button', {
            type: 'button', class: 'launcher', 'aria-expanded': 'false', 'aria-controls': 'panel', 'aria-label': say.open,
            onclick: () => (this.isOpen ? widget.close() : widget.open()),
        }, icon('chat'));

        this.log = el('div', { class: 'log', role: 'log', 'aria-live': 'polite', 'aria-label': say.messages, tabindex: '0' });
        this.typing = el('div', { class: 'typing', role: 'status' });
        this.notice = el('div', { class: 'notice', role: 'status' });

        this.field = el('textarea', {
            rows: '1', maxlength: '4096', 'aria-label': say.message, placeholder: say.placeholder, enterkeyhint: 'send',
            oninput: () => this.grow(),
            onkeydown: (event: KeyboardEvent) => {
                // While a word is being composed, Enter chooses it.
                if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
                    event.preventDefault();
                    this.submit();
                }
            },
            onpaste: (event: ClipboardEvent) => {
                const files = [...(event.clipboardData?.files ?? [])];
                if (files.length) event.preventDefault();
                this.take(files);
            },
        });
        this.picker = el('input', {
            type: 'file', multiple: true, hidden: true, tabindex: '-1', 'aria-label': say.attach,
            onchange: () => {
                this.take([...(this.picker.files ?? [])]);
                this.picker.value = '';
            },
        });
        this.uploads = el('ul', { class: 'files', 'aria-label': say.attach });
        this.sender = el('button', { type: 'submit', class: 'send', 'aria-label': say.send }, icon('send', true));
        this.composer = el('form', { class: 'composer', onsubmit: (event: Event) => (event.preventDefault(), this.submit()) },
            this.uploads,
            el('div', { class: 'row' },
                el('button', { type: 'button', 'aria-label': say.attach, onclick: () => this.picker.click() }, icon('clip')),
                this.picker, this.field, this.sender));

        this.panel = el('div', { class: 'panel', id: 'panel', role: 'dialog', 'aria-labelledby': 'title', hidden: true },
            el('header', {},
                el('h2', { id: 'title' }, say.title),
                el('button', { type: 'button', 'aria-label': say.close, onclick: () => widget.close() }, icon('close'))),
            this.notice, this.log, this.typing, this.composer,
            session.whatsapp_url && el('a', { class: 'whatsapp', href: session.whatsapp_url, target: '_blank', rel: 'noopener noreferrer' }, say.whatsapp));

        // In the order of the keyboard: the launcher stands before what it opens.
        this.frame = el('div', { class: `kabar ${appearance.position}`, dir: direction, lang: language }, this.launcher, this.panel);
        this.root.append(this.frame);
        this.panel.addEventListener('keydown', (event) => this.key(event));
        const options = { signal: this.stop.signal };
        document.addEventListener('visibilitychange', () => widget.read(), options);
        this.dark.addEventListener('change', () => this.theme(), options);
        this.theme();
        if (session.ask.length && widget.isEmpty) this.question(session.ask);
        this.show([], [], false, true);
        document.body.append(this.host);
    }

    remove(): void {
        this.stop.abort();
        clearTimeout(this.typingTimer);
        this.host.remove();
    }

    private theme(): void {
        const { theme } = this.session.appearance;
        this.frame.classList.toggle('dark', theme === 'dark' || (theme === 'auto' && this.dark.matches));
    }

    open(): void {
        this.isOpen = true;
        set(this.panel, { hidden: false, 'aria-modal': matchMedia(NARROW).matches && 'true' });
        set(this.launcher, { 'aria-expanded': 'true', 'aria-label': this.session.strings.close });
        this.launcher.replaceChildren(icon('close'));
        const first = this.ask?.querySelector('input') ?? this.field;
        first.focus();
        this.down();
    }

    close(): void {
        this.isOpen = false;
        const hadFocus = this.panel.contains(this.root.activeElement);
        set(this.panel, { hidden: true });
        set(this.launcher, { 'aria-expanded': 'false', 'aria-label': this.session.strings.open });
        this.launcher.replaceChildren(icon('chat'));
        if (hadFocus) this.launcher.focus();
    }

    badge(unread: number): void {
        const { strings: say } = this.session;
        this.launcher.querySelector('.badge')?.remove();
        if (!unread || this.isOpen) {
            if (!this.isOpen) set(this.launcher, { 'aria-label': say.open });
            return;
        }
        const count = unread > 99 ? '99+' : `${unread}`;
        const told = unread === 1 ? say.unread_one : say.unread?.replace('{n}', count);
        this.launcher.append(el('span', { class: 'badge', 'aria-hidden': 'true' }, count));
        set(this.launcher, { 'aria-label': `${say.open} – ${told}` });
    }

    /** Escape closes; where the panel is all there is, the keyboard stays in it. */
    private key(event: KeyboardEvent): void {
        if (event.key === 'Escape' && !event.isComposing) {
            event.stopPropagation();
            this.widget.close();
        } else if (event.key === 'Tab' && this.panel.hasAttribute('aria-modal')) {
            const all = this.panel.querySelectorAll<HTMLElement>('button, a[href], textarea, input:not([hidden]), [tabindex="0"]');
            const stops = [...all].filter((element) => element.offsetParent !== null);
            const [from, to] = event.shiftKey ? [stops[0], stops.at(-1)] : [stops.at(-1), stops[0]];
            if (this.root.activeElement === from) {
                event.preventDefault();
                to?.focus();
            }
        }
    }

    private grow(): void {
        // An empty field is written in the page's direction, as its placeholder is.
        set(this.field, { dir: this.field.value ? 'auto' : false });
        this.field.style.height = 'auto';
        this.field.style.height = `${Math.min(140, this.field.scrollHeight + 2)}px`;
    }

    private down(): void {
        this.log.scrollTop = this.log.scrollHeight;
    }

    connected(there: boolean): void {
        if (!this.isFinished) this.say(there ? '' : this.session.strings.offline_now);
    }

    /** Nothing can be written any more. */
    finish(): void {
        this.isFinished = true;
        this.say(this.session.strings.ended, true);
        this.composer.hidden = true;
        if (this.ask) this.ask.hidden = true;
    }

    private say(text = '', bad = false): void {
        this.notice.textContent = text;
        this.notice.classList.toggle('bad', bad);
    }

    type(): void {
        this.typing.textContent = `${this.session.strings.agent} ${this.session.strings.typing}`;
        clearTimeout(this.typingTimer);
        this.typingTimer = setTimeout(() => this.typing.replaceChildren(), TYPING);
    }

    /** Asks what the widget wants to know before the first message. */
    private question(questions: Question[]): void {
        const { strings: say } = this.session;
        const inputs = new Map<string, [HTMLInputElement, HTMLElement]>();
        const types: Record<string, string> = { email: 'email', phone: 'tel', name: 'text' };
        const rows = questions.flatMap(({ key, label, required }, index) => {
            const id = `ask-${index}`;
            const error = el('span', { class: 'error', id: `${id}-error` });
            const input = el('input', {
                id, type: types[key] ?? 'text', maxlength: '255', autocomplete: key === 'phone' ? 'tel' : key in types ? key : 'off',
                dir: 'auto', 'aria-required': required && 'true', 'aria-describedby': error.id,
            });
            inputs.set(key, [input, error]);
            return [el('label', { for: id }, required ? label : `${label} (${say.optional})`), input, error];
        });
        const mark = (key: string, text = '') => {
            const [input, error] = inputs.get(key)!;
            error.textContent = text;
            set(input, { 'aria-invalid': text ? 'true' : false });
            return text ? input : undefined;
        };
        const submit = async (event: Event) => {
            event.preventDefault();
            const wrong = questions.map(({ key, required }) =>
                mark(key, required && !inputs.get(key)![0].value.trim() ? say.required : ''));
            const first = wrong.find((input) => input);
            if (first) return first.focus();
            const answers = Object.fromEntries([...inputs].map(([key, [input]]) => [key, input.value.trim()]));
            try {
                await this.widget.answer(answers);
                this.ask?.remove();
                this.ask = undefined;
                this.composer.hidden = false;
                this.field.focus();
            } catch (error) {
                if (!(error instanceof Refusal)) throw error;
                const named = Object.entries(error.errors).filter(([field]) => inputs.has(field.slice(7)));
                for (const [field, texts] of named) {
                    const key = field.slice(7);
                    mark(key, say[`invalid_${key}`] ?? texts[0])?.focus();
                }
                if (!named.length && !this.isFinished) this.say(error.status ? error.message : say.offline_now, true);
            }
        };
        this.ask = el('form', { class: 'ask', novalidate: true, onsubmit: submit },
            el('p', {}, say.ask), ...rows, el('button', { type: 'submit' }, say.start));
        this.composer.hidden = true;
        this.composer.before(this.ask);
    }

    private submit(): void {
        const body = this.field.value.trim();
        const ready = this.files.filter((file) => file.id);
        // What is still on its way belongs to the message.
        if (this.files.some((file) => !file.id && !file.failed) || (!body && !ready.length)) return this.field.focus();
        for (const file of this.files) file.row.remove();
        this.files = [];
        this.field.value = '';
        this.grow();
        this.field.focus();
        this.widget.send(body, ready.map((file) => ({ id: file.id!, name: file.name })));
    }

    private take(files: File[]): void {
        for (const file of files.slice(0, ATTACHMENTS - this.files.length)) void this.bring(file);
    }

    private async bring(file: File): Promise<void> {
        const { strings: say, largest_attachment: most } = this.session;
        const text = el('span', { dir: 'auto' }, file.name);
        const state = el('span', { role: 'status' }, say.uploading);
        const upload: Upload = { row: el('li'), name: file.name };
        const drop = () => {
            upload.row.remove();
            this.files = this.files.filter((other) => other !== upload);
            this.busy();
            this.field.focus();
        };
        upload.row.append(text, state,
            el('button', { type: 'button', 'aria-label': say.remove?.replace('{name}', file.name), onclick: drop }, icon('close')));
        this.files.push(upload);
        this.uploads.append(upload.row);
        const fail = (why = '') => {
            upload.failed = true;
            state.className = 'bad';
            state.textContent = why;
        };
        this.busy();
        if (file.size > most) fail(say.too_large?.replace('{size}', size(most, this.session.language)));
        else {
            try {
                upload.id = await this.widget.upload(file);
                state.className = 'hidden';
                state.textContent = '✓';
            } catch (error) {
                fail(error instanceof Refusal && error.status === 429 ? say.slow_down : say.upload_failed);
            }
        }
        this.busy();
    }

    private busy(): void {
        set(this.sender, { 'aria-disabled': this.files.some((file) => !file.id && !file.failed) && 'true' });
    }

    /** What was said. Elements that are there stay, so that a screen reader reads only what is new. */
    show(messages: Message[], drafts: Draft[], hasEarlier: boolean, down: boolean): void {
        const { strings: say, open } = this.session;
        const atEnd = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 60;
        const bottom = this.log.scrollHeight - this.log.scrollTop;
        const wanted: HTMLElement[] = [];
        const put = (key: string, state: unknown, make: () => HTMLElement) => {
            const mark = JSON.stringify(state);
            let element = this.shown.get(key);
            if (element?.dataset.mark !== mark) {
                element = make();
                element.dataset.mark = mark;
                this.shown.set(key, element);
            }
            wanted.push(element!);
        };
        if (hasEarlier) put('more', 1, () => el('button', { type: 'button', class: 'more', onclick: () => void this.widget.load(true) }, say.earlier));
        else {
            const hello = open ? say.greeting : this.away();
            put('hello', hello, () => el('div', { class: 'message' }, el('div', { class: 'bubble' }, el('div', { dir: 'auto' }, ...linked(hello ?? '')))));
        }
        let day = '';
        for (const message of messages) {
            const date = this.day(message.at);
            if (date !== day) put(`day ${(day = date)}`, date, () => el('div', { class: 'day' }, date));
            put(message.client_id ?? message.id, { ...message, read: 0 }, () => this.message(message));
        }
        for (const draft of drafts) put(draft.client_id, draft, () => this.draft(draft));
        const kept = new Set(wanted);
        for (const child of [...this.log.children]) if (!kept.has(child as HTMLElement)) child.remove();
        wanted.forEach((element, at) => {
            if (this.log.children[at] !== element) this.log.insertBefore(element, this.log.children[at] ?? null);
        });
        if (down && atEnd) this.down();
        else if (!down) this.log.scrollTop = this.log.scrollHeight - bottom;
    }

    private away(): string {
        const { strings: say, opens_at, language } = this.session;
        if (!opens_at) return say.offline ?? '';
        const time = new Intl.DateTimeFormat(language, { weekday: 'long', hour: 'numeric', minute: '2-digit' }).format(new Date(opens_at));
        return `${say.offline}\n${say.opens?.replace('{time}', time)}`;
    }

    private day(at: string): string {
        const date = new Date(at);
        const days = Math.round((new Date().setHours(0, 0, 0, 0) - new Date(date).setHours(0, 0, 0, 0)) / 864e5);
        if (days === 0 || days === 1) return this.session.strings[days ? 'yesterday' : 'today'] ?? '';
        return new Intl.DateTimeFormat(this.session.language, { dateStyle: 'medium' }).format(date);
    }

    private time(at: string): HTMLElement {
        const text = new Intl.DateTimeFormat(this.session.language, { hour: 'numeric', minute: '2-digit' }).format(new Date(at));
        return el('time', { datetime: at }, text);
    }

    private message(message: Message): HTMLElement {
        const { strings: say } = this.session;
        const own = message.from === 'visitor';
        const who = own ? say.you : message.author || say.agent;
        const words = message.deleted ? el('div', { class: 'gone' }, say.deleted) : message.body && el('div', { class: 'words', dir: 'auto' }, ...linked(message.body));
        return el('div', { class: `message ${own ? 'own' : ''}` },
            el('div', { class: 'bubble' },
                el('span', { class: 'hidden' }, `${who}: `), words, ...message.attachments.map((file) => this.file(file))),
            el('div', { class: 'meta' }, !own && el('bdi', {}, who), !own && ' · ', this.time(message.at), message.edited && !message.deleted && ` · ${say.edited}`));
    }

    private draft(draft: Draft): HTMLElement {
        const { strings: say } = this.session;
        const failed = draft.state === 'failed';
        return el('div', { class: 'message own' },
            el('div', { class: 'bubble' },
                el('span', { class: 'hidden' }, `${say.you}: `), draft.body && el('div', { class: 'words', dir: 'auto' }, ...linked(draft.body)),
                ...draft.files.map((file) => el('div', { class: 'file' }, icon('file'), file.name))),
            el('div', { class: 'meta' },
                el('span', { class: failed ? 'bad' : '', role: failed && 'alert' }, failed ? `${draft.reason ?? say.failed} ` : say[draft.state]),
                failed && el('button', { type: 'button', onclick: () => this.widget.retry(draft) }, say.retry)));
    }

    private file(file: Attachment): HTMLElement {
        const { strings: say, language } = this.session;
        const name = file.name || file.mime_type || '…';
        const label = file.size ? `${name} (${size(file.size, language)})` : name;
        if (!file.url) return el('div', { class: 'file' }, icon('file'), label);
        const link = el('a', { class: 'file', href: file.url, target: '_blank', rel: 'noopener noreferrer', 'aria-label': say.download?.replace('{name}', label) }, icon('file'), label);
        if (!/^image\/(png|jpeg|gif|webp|avif)/.test(file.mime_type ?? '')) return link;
        // A page's policy may not let it through: then it is offered as any other file.
        const image = el('img', { src: file.url, alt: name, loading: 'lazy', onload: () => this.down(), onerror: () => shown.replaceWith(link) });
        const shown = el('a', { href: file.url, target: '_blank', rel: 'noopener noreferrer' }, image);
        return shown;
    }
}

function size(bytes: number, language: string): string {
    const [unit, value] = bytes < 1e6 ? (['kilobyte', bytes / 1024] as const) : (['megabyte', bytes / 1048576] as const);
    return new Intl.NumberFormat(language, { style: 'unit', unit, maximumFractionDigits: value < 10 ? 1 : 0 }).format(value);
}
