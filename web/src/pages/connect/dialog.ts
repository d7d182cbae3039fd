/**
 * Meta's dialog: a window that comes back to `/app/channels/connect` with a code. No script of Meta's runs in the app.
 *
 * The code is good for 30 seconds. Whichever window of the app comes back with it offers it to the one that waits; when
 * none does, because the dialog took the place of the app, it goes on with it itself.
 */
import { href } from '$lib/router.svelte';
import { session } from '$lib/session.svelte';

export const CONNECT = '/channels/connect';

export interface Answer {
  code?: string;
  error?: string;
  state: string;
}

const KEY = 'kabar.signup';
const CHANNEL = 'kabar.signup';
const GOOD_FOR = 3_600_000;

/** Without what Meta adds: the exchange takes the address that the dialog was opened with. */
export const back = (): string => location.origin + href(CONNECT);

interface Kept {
  state: string;
  organisation: string;
  at: number;
}

/** Opens the dialog; true when it stands beside the app, false when it took its place. */
export function open(dialog: string): boolean {
  const state = Array.from(crypto.getRandomValues(new Uint8Array(16)), (it) => it.toString(16).padStart(2, '0')).join('');
  const kept: Kept = { state, organisation: session.organisation.id, at: Date.now() };
  localStorage.setItem(KEY, JSON.stringify(kept));
  const url = new URL(dialog);
  url.searchParams.set('redirect_uri', back());
  url.searchParams.set('state', state);
  const left = Math.max(0, (screen.width - 700) / 2);
  const popup = window.open(url, CHANNEL, `popup,width=700,height=800,left=${left},top=60`);
  if (!popup) location.assign(url);
  return popup !== null;
}

/** Whether an answer is of a dialog that was opened here, for this organisation. It is so once. */
export function claim(answer: Answer): boolean {
  const kept = JSON.parse(localStorage.getItem(KEY) ?? 'null') as Kept | null;
  const fits =
    kept !== null && kept.state === answer.state && kept.organisation === session.organisation.id && Date.now() - kept.at < GOOD_FOR;
  if (fits) localStorage.removeItem(KEY);
  return fits;
}

/** Offers `take` what a window of the dialog came back with, until what this answers is called. */
export function wait(take: (answer: Answer) => boolean): () => void {
  const channel = new BroadcastChannel(CHANNEL);
  channel.onmessage = ({ data }: MessageEvent<{ answer?: Answer }>) => {
    if (data.answer && take(data.answer)) channel.postMessage({ taken: data.answer.state });
  };
  return () => channel.close();
}

/** Whether another window took the answer. */
export function offer(answer: Answer): Promise<boolean> {
  return new Promise((done) => {
    const channel = new BroadcastChannel(CHANNEL);
    const end = (taken: boolean) => {
      clearTimeout(timer);
      channel.close();
      done(taken);
    };
    const timer = setTimeout(() => end(false), 600);
    channel.onmessage = ({ data }: MessageEvent<{ taken?: string }>) => data.taken === answer.state && end(true);
    channel.postMessage({ answer });
  });
}
