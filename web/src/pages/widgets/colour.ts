/** Contrast as WCAG 2 defines it, of `#rrggbb`. */

export const isColour = (text: string): boolean => /^#[0-9a-f]{6}$/i.test(text);

function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const share = parseInt(colour.slice(at, at + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

export function contrast(one: string, other: string): number {
  const [dark = 0, light = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

/** Black or white, whichever is easier to read: as the server chooses it. */
export function textOn(colour: string): string {
  return luminance(colour) > 0.179 ? '#000000' : '#ffffff';
}
