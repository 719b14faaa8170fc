/**
 * Encoded words in subjects and names. RFC 2047. Decoding is lenient as mail readers are: unknown
 * charsets and broken words stay as they stand. Encoding gives UTF-8 words of at most 75 characters.
 */

const word = /=\?([^?\s]+)\?([bq])\?([^?\r\n]*)\?=/gi;

/** Decode every encoded word; blanks between two of them go. RFC 2047 6.2. */
export function decodeWords(text: string): string {
  const joined = text.replace(
    /(=\?[^?\s]+\?[bq]\?[^?]*\?=)\s+(?==\?[^?\s]+\?[bq]\?[^?]*\?=)/gi,
    "$1",
  );
  // Neighbours in one charset may have split a character between them, so bytes are joined first.
  let out = "";
  let at = 0;
  let charset = "";
  let bytes: Buffer[] = [];
  const flush = (): void => {
    if (bytes.length > 0) out += decodeCharset(Buffer.concat(bytes), charset);
    bytes = [];
  };
  for (const match of joined.matchAll(word)) {
    const [all, rawCharset = "", encoding = "", data = ""] = match;
    const name = (rawCharset.split("*", 1)[0] ?? "").toLowerCase(); // RFC 2231 5: language suffix
    if (match.index > at || name !== charset) flush();
    out += joined.slice(at, match.index);
    charset = name;
    bytes.push(/b/i.test(encoding) ? Buffer.from(data, "base64") : decodeQ(data));
    at = match.index + all.length;
  }
  flush();
  return out + joined.slice(at);
}

function decodeQ(data: string): Buffer {
  const text = data
    .replaceAll("_", " ")
    .replace(/=([0-9a-f]{2})/gi, (_all, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    );
  return Buffer.from(text, "latin1");
}

/** Text of bytes in a charset; unknown charsets count as UTF-8. Never throws. */
export function decodeCharset(bytes: Uint8Array, charset: string): string {
  try {
    return new TextDecoder(charset === "" ? "utf-8" : charset).decode(bytes);
  } catch {
    return new TextDecoder().decode(bytes);
  }
}

/** Text for an unstructured field or a display name: as it is when printable ASCII, else encoded words. */
export function encodeWords(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text) && !text.includes("=?")) return text;
  const words: string[] = [];
  let part = "";
  let size = 0;
  for (const character of text) {
    const length = Buffer.byteLength(character);
    // 45 bytes are 60 letters of base64; with `=?utf-8?B?` and `?=` 72.
    if (size + length > 45) {
      words.push(part);
      part = "";
      size = 0;
    }
    part += character;
    size += length;
  }
  if (part !== "") words.push(part);
  return words.map((piece) => `=?utf-8?B?${Buffer.from(piece).toString("base64")}?=`).join(" ");
}
