import { m } from '$lib/paraglide/messages';
import type { Ability } from '$lib/session.svelte';

/** What a token or an app may do, in words. */
export const abilities: { value: Ability; label: string; note: string }[] = [
  { value: 'read', label: m.ability_read(), note: m.ability_read_note() },
  { value: 'write', label: m.ability_write(), note: m.ability_write_note() },
  { value: 'send', label: m.ability_send(), note: m.ability_send_note() },
  { value: 'admin', label: m.ability_admin(), note: m.ability_admin_note() },
];

export function abilityLabel(value: string): string {
  return abilities.find((it) => it.value === value)?.label ?? value;
}
