/**
 * Encoded words of RFC 2047 as bytes: taken out raw (their charset forgotten, as the index hashes of
 * the originals need it) or turned into UTF-8. Words that do not decode stay as they are.
 */

const word = /=\?([^?\s*]+)(?:\*[^?\s]*)?\?([bq])\?([^?\s]*)\?=/gi;

/** `bytes` and the result hold one byte per char. */
export function decodeWordBytes(bytes: string, as: "raw" | "utf8"): string {
  if (!bytes.includes("=?")) return bytes;
  // White space between adjacent encoded words is not part of the text. RFC 2047 6.2.
  const joined = bytes.replace(/(\?=)[ \t\r\n]+(?==\?[^?\s]+\?[bq]\?)/gi, "$1");
  return joined.replace(word, (whole, charset: string, encoding: string, text: string) => {
    const raw = encoding.toUpperCase() === "B" ? base64(text) : quoted(text);
    if (raw === undefined) return whole;
    return as === "utf8" || /^iso-2022-/i.test(charset) ? toUtf8(raw, charset) : raw;
  });
}

function base64(text: string): string {
  return Buffer.from(text, "base64").toString("latin1");
}

function quoted(text: string): string {
  return text
    .replaceAll("_", " ")
    .replace(/=([0-9A-F]{2})/gi, (_all, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    );
}

function toUtf8(raw: string, charset: string): string {
  const bytes = Buffer.from(raw, "latin1");
  try {
    const text = new TextDecoder(charset === "us-ascii" ? "utf-8" : charset).decode(bytes);
    return Buffer.from(text).toString("latin1");
  } catch {
    // A charset nobody knows: the bytes are the best we have.
    return raw;
  }
}
