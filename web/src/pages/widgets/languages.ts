import { getLocale } from '$lib/paraglide/runtime';

/** Offered for texts; a widget that has another one, made over the API, keeps it. */
export const OFFERED = [
  'en', 'id', 'ar', 'ms', 'jv', 'su', 'zh', 'hi', 'ur', 'bn', 'ta', 'fa', 'tr', 'th', 'vi', 'fil', 'ja', 'ko', 'fr', 'es', 'pt', 'de', 'nl', 'ru',
];

/** In the reader's words. */
export function languageName(tag: string): string {
  try {
    return new Intl.DisplayNames(getLocale(), { type: 'language' }).of(tag) ?? tag;
  } catch {
    return tag;
  }
}

export const isRtl = (tag: string): boolean => /^(ar|dv|fa|he|ku|ps|sd|ug|ur|yi)\b/.test(tag);

/** The language of Kabar's own words in a widget of that language. */
export function ownWords(tag: string): 'en' | 'id' | 'ar' {
  const primary = tag.split('-')[0];
  return primary === 'id' || primary === 'ar' ? primary : 'en';
}
