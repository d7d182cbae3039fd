/** A widget as the editor has it: every field there is, in the form that fields are typed in. */
import type { components } from '$lib/api/schema';
import { lines } from '$lib/lines';
import { getLocale } from '$lib/paraglide/runtime';

export type Widget = components['schemas']['Widget'];
export type WidgetRequest = components['schemas']['WidgetRequest'];

export const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
export type Day = (typeof DAYS)[number];
export interface Span {
  open: string;
  close: string;
}
export type Hours = Record<Day, Span[]>;

/** What visitors are asked by a name that Kabar has words for. */
export const KNOWN = ['name', 'email', 'phone'] as const;

export interface Texts {
  title: string;
  greeting: string;
  offline: string;
  placeholder: string;
}

export interface Draft {
  name: string;
  slug: string;
  enabled: boolean;
  /** One per line. */
  origins: string;
  accent: string;
  /** Empty: whichever is easier to read. */
  accentText: string;
  theme: 'auto' | 'light' | 'dark';
  position: 'start' | 'end';
  texts: Record<string, Texts>;
  language: string;
  when: 'organisation' | 'always' | 'own';
  hours: Hours;
  fields: { key: string; label: Record<string, string>; required: boolean }[];
  /** Of a channel, or empty. */
  whatsapp: string;
}

const noTexts = (): Texts => ({ title: '', greeting: '', offline: '', placeholder: '' });

export function emptyDraft(): Draft {
  const work = (): Span[] => [{ open: '09:00', close: '17:00' }];
  return {
    name: '',
    slug: '',
    enabled: true,
    origins: '',
    accent: '#0b7a5b',
    accentText: '',
    theme: 'auto',
    position: 'end',
    texts: { [getLocale()]: noTexts() },
    language: getLocale(),
    when: 'organisation',
    hours: { mon: work(), tue: work(), wed: work(), thu: work(), fri: work(), sat: [], sun: [] },
    fields: [],
    whatsapp: '',
  };
}

/** Hours may be written as objects or as pairs. */
function spans(given: unknown): Span[] {
  if (!Array.isArray(given)) return [];
  return given.map((it: Span | [string, string]) => (Array.isArray(it) ? { open: it[0], close: it[1] } : { ...it }));
}

export function draftOf(widget: Widget): Draft {
  const empty = emptyDraft();
  const hours = widget.operating_hours as Partial<Record<Day, unknown>> | null;
  const some = hours !== null && Object.keys(hours).length > 0;
  const texts = Object.fromEntries(Object.entries(widget.texts).map(([tag, it]) => [tag, { ...noTexts(), ...it }]));
  texts[widget.default_language] ??= noTexts();
  return {
    name: widget.name,
    slug: widget.slug,
    enabled: widget.enabled,
    origins: widget.allowed_origins.join('\n'),
    accent: widget.appearance.accent ?? empty.accent,
    accentText: widget.appearance.accent_text ?? '',
    theme: widget.appearance.theme ?? 'auto',
    position: widget.appearance.position ?? 'end',
    texts,
    language: widget.default_language,
    when: hours === null ? 'organisation' : some ? 'own' : 'always',
    hours: some ? (Object.fromEntries(DAYS.map((day) => [day, spans(hours[day])])) as Hours) : empty.hours,
    fields: widget.fields.map((it) => ({ key: it.key, label: { ...it.label }, required: it.required ?? false })),
    whatsapp: widget.whatsapp_channel_id ?? '',
  };
}

export function request(draft: Draft): WidgetRequest {
  // The description has neither what may be left out of texts, nor what is in hours.
  const said = (texts: Texts) => Object.fromEntries(Object.entries(texts).filter(([, text]) => text.trim() !== '')) as unknown as Texts;
  const open = Object.fromEntries(Object.entries(draft.hours).filter(([, it]) => it.length > 0));
  return {
    name: draft.name,
    slug: draft.slug,
    enabled: draft.enabled,
    allowed_origins: lines(draft.origins).map((it) => it.item),
    appearance: { accent: draft.accent, accent_text: draft.accentText || null, theme: draft.theme, position: draft.position },
    texts: Object.fromEntries(Object.entries(draft.texts).map(([tag, texts]) => [tag, said(texts)])),
    default_language: draft.language,
    operating_hours: draft.when === 'organisation' ? null : draft.when === 'always' ? {} : (open as unknown as Record<string, never>),
    fields: draft.fields.map((it) => ({
      ...it,
      label: Object.fromEntries(Object.entries(it.label).filter(([, text]) => text.trim() !== '')),
    })),
    whatsapp_channel_id: draft.whatsapp || null,
  };
}

export function slugOf(name: string): string {
  const plain = name.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
  return plain.replace(/[^a-z0-9]+/g, '-').replace(/^-+|-+$/g, '').slice(0, 63);
}
