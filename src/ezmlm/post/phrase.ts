/**
 * Display names and other text in header fields: quoted when ASCII, encoded words otherwise. What
 * comes out is one line of printable ASCII whatever went in. RFC 2047, RFC 5322 3.2.5.
 */

import { encodeWords } from "../../lib/mime-word.ts";

/** Control characters and marks that turn the direction of text: they hide what an address says. */
const hidden = /[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** A display name, ready to stand before `<`. */
export function phrase(text: string): string {
  const clean = text.replace(hidden, " ").slice(0, 200);
  return /^[\x20-\x7e]*$/.test(clean) ? `"${clean.replace(/["\\]/g, "\\$&")}"` : encodeWords(clean);
}
