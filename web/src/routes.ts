/** The pages: each is loaded when it is first shown. */
import type { Component } from 'svelte';
import Blocks from '@lucide/svelte/icons/blocks';
import CreditCard from '@lucide/svelte/icons/credit-card';
import KeyRound from '@lucide/svelte/icons/key-round';
import MessageSquare from '@lucide/svelte/icons/message-square';
import Radio from '@lucide/svelte/icons/radio';
import { billing } from '$lib/billing.svelte';
import { m } from '$lib/paraglide/messages';
import { session } from '$lib/session.svelte';

// What a page takes is told by its pattern.
type Page = () => Promise<{ default: Component<any> }>;

/** By path below `/app`; `:name` is a parameter, given to the page as a property. The first that fits is shown. */
export const pages: [pattern: string, page: Page][] = [
  ['/channels', () => import('$pages/channels/Channels.svelte')],
  ['/channels/connect', () => import('$pages/connect/Connect.svelte')],
  ['/channels/connect/:id', () => import('$pages/connect/Signup.svelte')],
  ['/channels/:id', () => import('$pages/channels/Channel.svelte')],
  ['/integrations/api-tokens', () => import('$pages/tokens/Tokens.svelte')],
  ['/integrations/apps', () => import('$pages/apps/Apps.svelte')],
  ['/integrations/widgets', () => import('$pages/widgets/Widgets.svelte')],
  ['/integrations/widgets/new', () => import('$pages/widgets/Widget.svelte')],
  ['/integrations/widgets/:id', () => import('$pages/widgets/Widget.svelte')],
  ['/billing', () => import('$pages/billing/Billing.svelte')],
];

/** Shown at `/app`. */
export const HOME = '/channels';

export interface Place {
  path: string;
  label: () => string;
  icon: Component<{ class?: string }>;
  /** Always, when left out. */
  shown?: () => boolean;
}

/** What the navigation lists, in groups. */
export const places: { label?: () => string; places: Place[] }[] = [
  {
    label: m.nav_messaging,
    places: [{ path: '/channels', label: m.channels, icon: Radio }],
  },
  {
    label: m.nav_integrations,
    places: [
      { path: '/integrations/api-tokens', label: m.nav_tokens, icon: KeyRound, shown: () => session.can('admin') },
      { path: '/integrations/apps', label: m.nav_apps, icon: Blocks },
      { path: '/integrations/widgets', label: m.widgets, icon: MessageSquare },
    ],
  },
  {
    label: m.nav_account,
    places: [{ path: '/billing', label: m.billing, icon: CreditCard, shown: () => billing.isOn }],
  },
];
