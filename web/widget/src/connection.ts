import type { Events } from './types';

/** An answer that is none of those wished for; `status` 0 when there was none at all. */
export class Refusal extends Error {
    constructor(
        readonly status: number,
        message: string,
        readonly errors: Record<string, string[]> = {},
        readonly wait = 0,
    ) {
        super(message);
    }

    get event(): Events['error'] {
        return { status: this.status, message: this.message };
    }
}

/** Longest silence of the stream; the server says something every ten seconds. */
const SILENCE = 30_000;
const LONGEST_WAIT = 30_000;

type Refresh = (() => string | Promise<string>) | undefined;

/** The way to the server: requests, and the stream of events, under a token that is renewed in time. */
export class Connection {
    private stop = new AbortController();
    private timer = 0;
    private refreshing: Promise<boolean> | undefined;
    private hurry: (() => void) | undefined;
    lastEvent = 0;

    constructor(
        private readonly base: string,
        private token: string,
        private readonly refresh: Refresh,
    ) {
        addEventListener('online', () => this.hurry?.(), { signal: this.stop.signal });
    }

    end(): void {
        this.stop.abort();
        clearTimeout(this.timer);
        this.hurry?.();
    }

    get ended(): boolean {
        return this.stop.signal.aborted;
    }

    /** Renews the token when most of `seconds` is over. */
    renewIn(seconds: number): void {
        clearTimeout(this.timer);
        if (this.refresh && !this.ended) {
            const early = Math.min(60, seconds / 4);
            this.timer = setTimeout(() => void this.renew(), Math.max(1, seconds - early) * 1000);
        }
    }

    /** Whether there is a new token. Who asks while it is fetched waits for the same. */
    private renew(): Promise<boolean> {
        this.refreshing ??= (async () => {
            try {
                const token = await this.refresh?.();
                if (!token || this.ended) return false;
                this.token = token;
                this.renewIn(lifetime(token));
                return true;
            } catch (error) {
                console.warn('Kabar: onTokenExpiring failed:', error);
                // The present one may be good for a while yet.
                this.renewIn(15);
                return false;
            } finally {
                this.refreshing = undefined;
            }
        })();
        return this.refreshing;
    }

    private async fetch(method: string, path: string, body?: unknown, headers: Record<string, string> = {}, signal?: AbortSignal): Promise<Response> {
        for (let renewed = false; ; renewed = true) {
            const token = this.token;
            const is_form = body instanceof FormData;
            const type: Record<string, string> = body && !is_form ? { 'content-type': 'application/json' } : {};
            let answer: Response;
            try {
                answer = await fetch(this.base + path, {
                    method,
                    headers: { authorization: `Bearer ${token}`, ...type, ...headers },
                    body: body ? (is_form ? body : JSON.stringify(body)) : null,
                    signal: signal ?? this.stop.signal,
                    credentials: 'omit',
                    cache: 'no-store',
                    referrerPolicy: 'no-referrer',
                });
            } catch (error) {
                throw new Refusal(0, String(error));
            }
            if (answer.ok) return answer;
            if (answer.status === 401 && !renewed && (token !== this.token || (await this.renew()))) continue;
            const told = await answer.json().catch(() => ({}));
            const wait = Number(answer.headers.get('retry-after')) * 1000 || 0;
            throw new Refusal(answer.status, told.message || answer.statusText, told.errors, wait);
        }
    }

    async call<T>(method: string, path: string, body?: unknown): Promise<T> {
        const answer = await this.fetch(method, path, body);
        return answer.status === 204 ? (undefined as T) : ((await answer.json()) as T);
    }

    /** Follows the stream until it is refused for good or this ends. `say` is told whether it is there. */
    async follow(hear: (kind: string, data: unknown) => void, say: (there: boolean, refused?: Refusal) => void): Promise<void> {
        for (let failures = 0; !this.ended; ) {
            try {
                const quiet = new AbortController();
                const onEnd = () => quiet.abort();
                this.stop.signal.addEventListener('abort', onEnd);
                let alarm = 0;
                const wind = () => {
                    clearTimeout(alarm);
                    alarm = setTimeout(onEnd, SILENCE);
                };
                try {
                    wind();
                    const answer = await this.fetch('GET', '/events', undefined, { accept: 'text/event-stream', 'last-event-id': `${this.lastEvent}` }, quiet.signal);
                    failures = 0;
                    say(true);
                    await this.read(answer, wind, hear);
                } finally {
                    clearTimeout(alarm);
                    this.stop.signal.removeEventListener('abort', onEnd);
                }
            } catch (error) {
                if (this.ended) return;
                if (error instanceof Refusal && (error.status === 401 || error.status === 403)) {
                    say(false, error);
                    return;
                }
                failures++;
                say(failures < 2);
            }
            await this.pause(failures ? Math.min(LONGEST_WAIT, 500 * 2 ** failures) * (0.5 + Math.random()) : 200);
        }
    }

    private pause(time: number): Promise<void> {
        return new Promise((done) => {
            const timer = setTimeout(done, time);
            this.hurry = () => {
                clearTimeout(timer);
                done();
            };
        });
    }

    private async read(answer: Response, wind: () => void, hear: (kind: string, data: unknown) => void): Promise<void> {
        const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
        let kind = '';
        let data = '';
        let rest = '';
        for (;;) {
            const { done, value } = await reader.read();
            if (done) return;
            wind();
            const lines = (rest + value).split('\n');
            rest = lines.pop()!;
            for (const line of lines) {
                if (!line) {
                    if (data) hear(kind, JSON.parse(data));
                    kind = data = '';
                } else if (line.startsWith('event: ')) kind = line.slice(7);
                else if (line.startsWith('data: ')) data += line.slice(6);
                else if (line.startsWith('id: ')) this.lastEvent = Number(line.slice(4)) || this.lastEvent;
            }
        }
    }
}

/** Seconds that a fresh token lives, whatever this machine's clock says. */
function lifetime(token: string): number {
    try {
        const part = token.split('.')[1]!.replace(/-/g, '+').replace(/_/g, '/');
        const { iat, exp } = JSON.parse(atob(part));
        return exp - iat || 900;
    } catch {
        return 900;
    }
}
