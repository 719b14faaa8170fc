/** Date fields and mbox dates, always UTC: `21 Nov 2026 01:34:54 -0000` (day unpadded, no weekday). */

const months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
const days = "Sun Mon Tue Wed Thu Fri Sat".split(" ");

const two = (n: number): string => String(n).padStart(2, "0");
const clock = (d: Date): string =>
  `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}:${two(d.getUTCSeconds())}`;

/** Most dates are now, and servers write many a second. */
let last = { second: Number.NaN, text: "" };

/** `D Mon YYYY HH:MM:SS -0000`, the form of every date we write into a header. */
export function date822(date: Date): string {
  const second = unixSeconds(date);
  if (second !== last.second) last = { second, text: format822(date) };
  return last.text;
}

function format822(date: Date): string {
  return `${date.getUTCDate()} ${months[date.getUTCMonth()]} ${date.getUTCFullYear()} ${clock(date)} -0000`;
}

/** `Sat Nov 21 01:36:17 2026`, 24 characters, as in the From_ line of an mbox. */
export function dateMbox(date: Date): string {
  return `${days[date.getUTCDay()]} ${months[date.getUTCMonth()]} ${two(date.getUTCDate())} ${clock(date)} ${date.getUTCFullYear()}`;
}

/** `YYYYMMDDHHMMSS`, the first part of a generated Message-ID. */
export function dateCompact(date: Date): string {
  return date.toISOString().replace(/\D/g, "").slice(0, 14);
}

/** Whole seconds since 1970. */
export function unixSeconds(date: Date): number {
  return Math.floor(date.getTime() / 1000);
}
