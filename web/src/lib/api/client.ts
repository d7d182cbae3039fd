/** The API of this server, with types from its description. */
import createClient, { type Middleware } from 'openapi-fetch';
import type { paths } from './schema';
import { Failure, failure } from './failure';

/** What every request carries; `session.svelte.ts` keeps it. */
export const credentials = { csrf: '', organisation: '', renew: async (): Promise<void> => {} };

/** Goes to the sign-in page, which comes back here. */
export function signIn(): Promise<never> {
  location.assign('/login?next=' + encodeURIComponent(location.pathname + location.search));
  // The page is being left: nothing that waits for an answer should show one.
  return new Promise(() => {});
}

function dress(request: Request): Request {
  if (request.method !== 'GET') request.headers.set('X-CSRF-Token', credentials.csrf);
  if (credentials.organisation) request.headers.set('X-Organisation-Id', credentials.organisation);
  return request;
}

const session: Middleware = {
  onRequest: ({ request }) => dress(request),
};

/** Sends a request; after a 419 (the session changed in another tab) once more, with what it takes now. */
async function send(request: Request): Promise<Response> {
  const spare = request.clone();
  const response = await fetch(request);
  if (response.status === 401) return signIn();
  if (response.status !== 419) return response;
  await credentials.renew();
  return fetch(dress(spare));
}

export const api = createClient<paths>({ baseUrl: location.origin, fetch: send });
api.use(session);

interface Answered<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The whole body of the answer; throws a `Failure` for every answer that is not a success. */
export async function whole<T>(answer: Promise<Answered<T>>): Promise<T> {
  let got: Answered<T>;
  try {
    got = await answer;
  } catch (error) {
    throw new Failure(0, error instanceof Error ? error.message : String(error));
  }
  if (!got.response.ok) throw failure(got.response, got.error);
  return got.data as T;
}

/** What is under `data` in the answer: one thing, or a page of them. */
export async function unwrap<T>(answer: Promise<Answered<{ data: T }>>): Promise<T> {
  return (await whole(answer)).data;
}

interface Listed<T> {
  data: T[];
  meta: { next_cursor?: string | null };
}

/** Every page of a list that is short by nature, such as channels. */
export async function all<T>(page: (cursor?: string) => Promise<Answered<Listed<T>>>): Promise<T[]> {
  const rows: T[] = [];
  let cursor: string | undefined;
  do {
    const got = await whole(page(cursor));
    rows.push(...got.data);
    cursor = got.meta.next_cursor ?? undefined;
  } while (cursor);
  return rows;
}
