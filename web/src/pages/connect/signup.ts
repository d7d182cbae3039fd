import type { components } from '$lib/api/schema';
import { m } from '$lib/paraglide/messages';

export type Signup = components['schemas']['EmbeddedSignup'];
export type Step = components['schemas']['EmbeddedSignupStep'];

export const STEPS = ['exchange_code', 'debug_token', 'subscribe_app', 'phone_numbers', 'register', 'sync_templates', 'sync_history'];

/** Before the server has told of any. */
export const notBegun = (): Step[] => STEPS.map((name, index) => ({ name, status: index === 0 ? 'running' : 'pending' }) as Step);

/** What `it` shows as, among `all` there are: one that failed asks for nothing once its business account is connected.
 * Times are whole seconds; ids are in order. */
export function stateOf(it: Signup, all: Signup[]): keyof typeof states {
  const isLater = (one: Signup) => one.status === 'completed' && one.waba_id === it.waba_id && one.id > it.id;
  return it.status === 'failed' && it.waba_id && all.some(isLater) ? 'superseded' : it.status;
}

export const states: Record<string, { label: () => string; kind: 'good' | 'warn' | 'bad' | 'plain' }> = {
  superseded: { label: m.signup_superseded, kind: 'plain' },
  running: { label: m.signup_running, kind: 'warn' },
  completed: { label: m.signup_completed, kind: 'good' },
  failed: { label: m.signup_failed, kind: 'bad' },
};
