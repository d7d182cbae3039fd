/** Who is signed in, and for which organisation. */
import { credentials, signIn } from './api/client';
import { Failure, failure } from './api/failure';
import { m } from './paraglide/messages';
import { toast } from './toasts.svelte';

export type Ability = 'read' | 'write' | 'send' | 'admin';

export interface Organisation {
  id: string;
  name: string;
  slug: string;
  role: string;
}

export interface Session {
  user: { id: string; name: string; email: string };
  organisations: Organisation[];
  organisation: Organisation;
  abilities: Ability[];
  csrf_token: string;
}

const KEY = 'kabar.organisation';

function remembered(): string {
  try {
    return sessionStorage.getItem(KEY) ?? localStorage.getItem(KEY) ?? '';
  } catch {
    return '';
  }
}

function remember(id: string) {
  try {
    // For this tab, and for the next one that is opened.
    sessionStorage.setItem(KEY, id);
    localStorage.setItem(KEY, id);
  } catch {
    // Chosen for this page only.
  }
}

let current = $state.raw<Session>();

async function read(organisation: string): Promise<Response> {
  return fetch('/api/v1/auth/session', { headers: organisation ? { 'X-Organisation-Id': organisation } : {} });
}

/** Reads the session; without one, goes to the sign-in page. */
export async function begin(): Promise<void> {
  let chosen = credentials.organisation || remembered();
  let response = await read(chosen);
  if (!response.ok && response.status !== 401 && chosen) {
    // No longer a member there.
    chosen = '';
    response = await read('');
  }
  if (response.status === 401) return signIn();
  const body: unknown = await response.json().catch(() => undefined);
  if (!response.ok) throw failure(response, body);
  const found = (body as { data: Session & { organisation: Organisation | null } }).data;
  if (!found.organisation) throw new Failure(409, m.failure_no_organisation());
  current = found;
  credentials.csrf = current.csrf_token;
  credentials.organisation = current.organisation.id;
  credentials.renew = begin;
}

export const session = {
  get user() {
    return must().user;
  },
  get organisation() {
    return must().organisation;
  },
  get organisations() {
    return must().organisations;
  },
  /** Whether the person may, in this organisation; `admin` may everything. */
  can(ability: Ability): boolean {
    return must().abilities.includes(ability) || must().abilities.includes('admin');
  },
};

function must(): Session {
  if (!current) throw new Error('no session yet');
  return current;
}

/** Another organisation: everything on the page is read anew. */
export function enter(organisation: Organisation): void {
  remember(organisation.id);
  location.assign('/app');
}

export async function signOut(): Promise<void> {
  const headers = { 'X-CSRF-Token': credentials.csrf };
  const answer = await fetch('/logout', { method: 'POST', headers, redirect: 'manual' }).catch(() => undefined);
  if (answer?.type === 'opaqueredirect') location.assign('/login');
  else toast(m.sign_out_failed(), 'failed');
}
