/** Date fields and mbox dates, always UTC: `21 Nov 2026 01:34:54 -0000` (day unpadded, no weekday). */

const months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
const days = "Sun Mon Tue Wed Thu Fri Sat".split(" ");

const two = (n: number): string => String(n).padStart(2, "0");
const clock = (d: Date): string =>
  `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}:${two(d.getUTCSeconds())}`;

/** `D Mon YYYY HH:MM:SS -0000`, the form of every date we write into a header. */
export function date822(date: Date): string {
  return `${date.getUTCDate()} ${months[date.getUTCMonth()]} ${date.getUTCFullYear()} ${clock(date)} -0000`;
}

/** Now in that form, for a server that writes it many times a second: made once a second. */
export class ClockDate {
  private readonly now: () => Date;
  private second = Number.NaN;
  private made = "";

  constructor(now: () => Date) {
    this.now = now;
  }

  text(): string {
    const now = this.now();
    const second = unixSeconds(now);
    if (second !== this.second) {
      this.second = second;
      this.made = date822(now);
    }
    return this.made;
  }
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
