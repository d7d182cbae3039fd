/** The pages: each is loaded when it is first shown. */
import type { Component } from 'svelte';
import Blocks from '@lucide/svelte/icons/blocks';
import KeyRound from '@lucide/svelte/icons/key-round';
import { m } from '$lib/paraglide/messages';

type Page = () => Promise<{ default: Component<Record<string, string>> }>;

/** By path below `/app`; `:name` is a parameter, given to the page as a property. The first that fits is shown. */
export const pages: [pattern: string, page: Page][] = [
  ['/integrations/api-tokens', () => import('$pages/tokens/Tokens.svelte')],
  ['/integrations/apps', () => import('$pages/apps/Apps.svelte')],
];

/** Shown at `/app`. */
export const HOME = '/integrations/api-tokens';

export interface Place {
  path: string;
  label: () => string;
  icon: Component<{ class?: string }>;
}

/** What the navigation lists, in groups. */
export const places: { label?: () => string; places: Place[] }[] = [
  {
    label: m.nav_integrations,
    places: [
      { path: '/integrations/api-tokens', label: m.nav_tokens, icon: KeyRound },
      { path: '/integrations/apps', label: m.nav_apps, icon: Blocks },
    ],
  },
];
