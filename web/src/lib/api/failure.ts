import { m } from '$lib/paraglide/messages';

/** In place of a status: it went wrong in the page, not on the server. */
const BROKEN = -1;

/** An answer that is not a success. `status` 0: there was none. */
export class Failure extends Error {
  constructor(
    readonly status: number,
    message: string,
    /** By field, of a 422. */
    readonly errors: Record<string, string[]> = {},
    readonly requestId?: string,
    /** Seconds. */
    readonly retryAfter?: number,
  ) {
    super(message);
    this.name = 'Failure';
  }

  /** What happened, in the reader's language where it is not about a field. */
  get text(): string {
    if (this.status === BROKEN) return m.failure_page();
    if (this.status === 0) return m.failure_offline();
    if (this.status === 402) return m.failure_unpaid();
    if (this.status === 403) return m.failure_forbidden();
    if (this.status === 404) return m.failure_missing();
    if (this.status === 429) return m.failure_too_many({ seconds: this.retryAfter ?? 60 });
    if (this.status >= 500) return m.failure_server();
    return this.message;
  }

  /** Whether the same request may go better later. */
  get passing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

export function failure(response: Response, body: unknown): Failure {
  const said = (typeof body === 'object' && body !== null ? body : {}) as {
    message?: string;
    errors?: Record<string, string[]>;
    request_id?: string;
  };
  const wait = Number(response.headers.get('Retry-After'));
  return new Failure(
    response.status,
    said.message ?? response.statusText,
    said.errors ?? {},
    said.request_id ?? response.headers.get('X-Request-Id') ?? undefined,
    wait > 0 ? wait : undefined,
  );
}

export function asFailure(error: unknown): Failure {
  return error instanceof Failure ? error : new Failure(BROKEN, error instanceof Error ? error.message : String(error));
}
