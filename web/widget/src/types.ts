/** Whatever a page may tell the widget. */
export interface Options {
    /** From `POST /api/v1/embed-tokens`. */
    token: string;
    /** What everything is said in, BCP 47; else the page's language, else the browser's. */
    lang?: string;
    /** Called before the token ends; answers with a fresh one for the same visitor. */
    onTokenExpiring?: () => string | Promise<string>;
    onReady?: (event: Events['ready']) => void;
    onMessage?: (event: Events['message']) => void;
    onUnread?: (event: Events['unread']) => void;
    onOpen?: () => void;
    onClose?: () => void;
    onError?: (event: Events['error']) => void;
}

export interface Events {
    ready: { slug: string; language: string };
    /** A message that is new here, of either side. */
    message: Message;
    unread: { count: number };
    open: undefined;
    close: undefined;
    error: { status: number; message: string };
}

export type Listener<K extends keyof Events> = (event: Events[K]) => void;

export interface Message {
    id: string;
    client_id: string | null;
    from: 'visitor' | 'agent';
    author: string | null;
    body: string | null;
    attachments: Attachment[];
    at: string;
    read: boolean;
    edited: boolean;
    deleted: boolean;
}

export interface Attachment {
    name: string | null;
    mime_type: string | null;
    size: number | null;
    url: string | null;
}

export interface Question {
    key: string;
    label: string;
    required: boolean;
}

export interface Session {
    slug: string;
    appearance: { accent: string; accent_text: string; theme: 'auto' | 'light' | 'dark'; position: 'start' | 'end' };
    language: string;
    direction: 'ltr' | 'rtl';
    strings: Record<string, string>;
    open: boolean;
    opens_at: string | null;
    ask: Question[];
    whatsapp_url: string | null;
    conversation_id: string | null;
    unread: number;
    position: number;
    expires_in: number;
    largest_attachment: number;
}
