/** How the organisation stands with what it has to pay: for the page about it, and for the notice on all others. */
import { api, unwrap } from './api/client';
import type { components } from './api/schema';

export type Billing = components['schemas']['Billing'];

let current = $state.raw<Billing>();

export const billing = {
  /** Undefined until it was read. */
  get standing() {
    return current;
  },
  get isOn() {
    return current?.enabled ?? false;
  },
  async read(): Promise<Billing> {
    return (current = await unwrap(api.GET('/api/v1/billing')));
  },
};
