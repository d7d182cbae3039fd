import { getTextDirection } from '$lib/paraglide/runtime';

/** Of the page's text. What floats over the page must be told. */
export const dir = getTextDirection();
