/**
 * Trimming of header text that may be bytes: only blanks, tabs and line ends go. String.trim() would
 * also take 0xA0, the last byte of `à` in UTF-8; an anchored regular expression is quadratic.
 */

function isBlank(code: number): boolean {
  return code === 32 || code === 9 || code === 13 || code === 10;
}

export function trimBlanksStart(text: string): string {
  let start = 0;
  while (start < text.length && isBlank(text.charCodeAt(start))) start++;
  return text.slice(start);
}

export function trimBlanksEnd(text: string): string {
  let end = text.length;
  while (end > 0 && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(0, end);
}

export function trimBlanks(text: string): string {
  return trimBlanksEnd(trimBlanksStart(text));
}
