import type { Component } from 'svelte';
import MessageCircle from '@lucide/svelte/icons/message-circle';
import MessageSquareText from '@lucide/svelte/icons/message-square-text';
import Send from '@lucide/svelte/icons/send';
import Users from '@lucide/svelte/icons/users';
import type { components } from '$lib/api/schema';
import { m } from '$lib/paraglide/messages';

export type Channel = components['schemas']['Channel'];

export function channelIcon(channel: Channel): Component<{ class?: string }> {
  if (channel.kind === 'group') return Users;
  if (channel.type === 'telegram') return Send;
  return channel.type === 'widget' ? MessageSquareText : MessageCircle;
}

export function channelKind(channel: Channel): string {
  if (channel.kind === 'widget') return m.channel_widget();
  if (channel.kind === 'group') return channel.type === 'telegram' ? m.channel_telegram_group() : m.channel_whatsapp_group();
  return channel.type === 'telegram' ? m.channel_telegram() : m.channel_whatsapp();
}

export const statuses: Record<string, { label: () => string; kind: 'good' | 'warn' | 'bad' | 'plain' }> = {
  connected: { label: m.status_connected, kind: 'good' },
  pending: { label: m.status_pending, kind: 'warn' },
  disconnected: { label: m.status_disconnected, kind: 'bad' },
  archived: { label: m.status_archived, kind: 'plain' },
};
