/**
 * Arguments of MAIL and RCPT. Lenient about form as qmail is (keywords are not checked, a missing
 * `>` is tolerated, unknown parameters are ignored), strict about bytes: an address is valid UTF-8,
 * holds no control characters and fits 900 bytes with its end mark. Lines are binary strings.
 * qmail reference 6.1; RFC 5321 4.1.2; RFC 1870 (SIZE).
 */

/** Longest address including the NUL that ends it in an envelope. */
const ADDRESS_LIMIT = 900;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
const control = /[\x00-\x1f\x7f]/;
const eightBit = /[\x80-\xff]/;

/** `[d.d.d.d]` at the end that is one of our addresses is replaced by this host. */
export interface LocalIpHost {
  readonly host: string;
  isLocalIp(ip: string): boolean;
}

export interface PathArgument {
  readonly address: string;
  /** What follows the path: parameters, a binary string. */
  readonly rest: string;
}

/** The path in `FROM:<a@b> SIZE=1`, unquoted, source route removed; undefined = refuse it. */
export function parsePath(argument: string, localIpHost?: LocalIpHost): PathArgument | undefined {
  const angle = argument.indexOf("<");
  const terminator = angle >= 0 ? ">" : " ";
  let at = angle + 1;
  if (angle < 0) {
    at = argument.indexOf(":") + 1;
    while (argument[at] === " ") at++;
  }
  if (argument[at] === "@") {
    const colon = argument.indexOf(":", at); // source route, RFC 5321 appendix C
    at = colon < 0 ? argument.length : colon + 1;
  }
  let end = argument.indexOf(terminator, at);
  if (end < 0) end = argument.length;
  let bytes = argument.slice(at, end);
  if (bytes.includes('"') || bytes.includes("\\")) {
    [bytes, end] = unquote(argument, at, terminator);
  }
  if (bytes.endsWith("]") && localIpHost) bytes = withLocalHost(bytes, localIpHost);
  if (bytes.length + 1 > ADDRESS_LIMIT || control.test(bytes)) return undefined;
  const address = eightBit.test(bytes) ? decode(bytes) : bytes;
  return address === undefined ? undefined : { address, rest: argument.slice(end + 1) };
}

/** Copy up to an unquoted terminator without quotes; a backslash takes the next byte as it is. */
function unquote(argument: string, from: number, terminator: string): [string, number] {
  let bytes = "";
  let quoted = false;
  let at = from;
  for (; at < argument.length; at++) {
    const byte = argument[at] as string;
    if (byte === "\\") bytes += argument[++at] ?? "";
    else if (byte === '"') quoted = !quoted;
    else if (byte === terminator && !quoted) break;
    else bytes += byte;
  }
  return [bytes, at];
}

function withLocalHost(bytes: string, local: LocalIpHost): string {
  const match = /@\[(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})\]$/.exec(bytes);
  if (!match?.[1] || !local.isLocalIp(match[1])) return bytes;
  // The control file is text; everything here is still bytes.
  return bytes.slice(0, match.index + 1) + Buffer.from(local.host).toString("latin1");
}

function decode(bytes: string): string | undefined {
  try {
    return utf8.decode(Buffer.from(bytes, "latin1"));
  } catch {
    return undefined;
  }
}

/** What MAIL announces: `SIZE=` in bytes; undefined without one, "bad" when it is no number. */
export function announcedSize(rest: string): number | "bad" | undefined {
  const size = /(?:^|\s)SIZE=(\S*)/i.exec(rest)?.[1];
  if (size === undefined) return undefined;
  return /^\d{1,20}$/.test(size) ? Number(size) : "bad";
}

/** Whether `BODY=` names something other than 7BIT and 8BITMIME. RFC 6152 2. */
export function isBadBodyType(rest: string): boolean {
  const type = /(?:^|\s)BODY=(\S*)/i.exec(rest)?.[1];
  return type !== undefined && !/^(?:7BIT|8BITMIME)$/i.test(type);
}
