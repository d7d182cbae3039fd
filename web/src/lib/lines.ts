/** What stands in a field with one item per line, each with the number of its line. */
export function lines(text: string): { item: string; line: number }[] {
  return text
    .split('\n')
    .map((it, index) => ({ item: it.trim(), line: index + 1 }))
    .filter((it) => it.item !== '');
}
