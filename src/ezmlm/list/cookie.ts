/**
 * Cookies: 20 letters in a command address that prove its writer can read mail sent to the address it
 * is about. A list whose `key` begins with `hmac-sha256:` uses HMAC-SHA256; every other key is one of the
 * original programs and keeps their SURF form, so that cookies on the way stay valid. The mark lives
 * in the key itself: a copied or moved list directory keeps its form.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { letters, surfCookie } from "./surf.ts";

export interface CookieSubject {
  /** First letter counts in the old form: `s t r u v w` (un)subscribe, `-` edit, `a` post, `W P` bounces. */
  readonly action: string;
  /** Seconds, or `TS.PID` of a waiting post. */
  readonly date: string;
  /** Target address exactly as it stands in the command address; "" for posts. */
  readonly address: string;
  /** `digest`, `allow`, `deny`: a cookie for one database is none for another. */
  readonly db?: string;
  /** Text editing: the file as it is now; comes before `address` (`text/NAME`), NUL counts as `_`. */
  readonly content?: string | Buffer;
}

interface Keyed {
  readonly key: Buffer;
}

const mark = "hmac-sha256:";
/** The old form tells databases apart by leaving bytes off the key. */
const keyCut: Readonly<Record<string, number>> = { digest: 1, allow: 2, deny: 3 };

/** A key for a new list: the mark and 32 random bytes in hex. */
export function newKey(): Buffer {
  return Buffer.from(`${mark}${randomBytes(32).toString("hex")}\n`);
}

/** 20 letters `a`..`p`. */
export function makeCookie(list: Keyed, cookie: CookieSubject): string {
  const { key } = list;
  const about = addressBytes(cookie);
  if (key.subarray(0, mark.length).toString("latin1") === mark) {
    const secret = Buffer.from(key.subarray(mark.length).toString("latin1").trim(), "hex");
    if (secret.length >= 16) return hmacCookie(secret, cookie, about);
  }
  const cut = keyCut[cookie.db ?? ""] ?? 0;
  const short = key.subarray(0, Math.max(0, key.length - cut));
  return surfCookie(short, cookie.date, about, cookie.action);
}

/** Whether `cookie` (exactly 20 letters) is the right one; takes the same time for every wrong one. */
export function checkCookie(list: Keyed, subject: CookieSubject, cookie: string): boolean {
  const right = Buffer.from(makeCookie(list, subject));
  const given = Buffer.from(cookie);
  return given.length === right.length && timingSafeEqual(given, right);
}

function addressBytes(cookie: CookieSubject): Buffer {
  if (cookie.content === undefined) return Buffer.from(cookie.address);
  const content = Buffer.from(cookie.content).map((byte) => (byte === 0 ? 0x5f : byte));
  return Buffer.concat([content, Buffer.from(cookie.address)]);
}

function hmacCookie(secret: Buffer, cookie: CookieSubject, about: Buffer): string {
  const hmac = createHmac("sha256", secret);
  for (const part of ["cookie", cookie.db ?? "", cookie.action, cookie.date]) {
    hmac.update(`${Buffer.byteLength(part)}:${part},`);
  }
  return letters(hmac.update(about).digest());
}
