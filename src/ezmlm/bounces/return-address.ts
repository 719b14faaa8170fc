/** What stands behind `LIST-return-` in the address of a bounce. Reference ezmlm.md 4.7. */
import { PermanentError } from "../../lib/errors.ts";

export type ReturnAddress =
  /** Bounce of an answer or a help text. */
  | { readonly kind: "trash" }
  /** Bounce of message `number`; `recipients` are readings of the address, likeliest first. */
  | { readonly kind: "post"; readonly number: number; readonly recipients: readonly string[] }
  /** Bounce of message `number` before its sender was expanded: the text names the recipients. */
  | { readonly kind: "report"; readonly number: number }
  | {
      readonly kind: "warn" | "probe";
      readonly seconds: string;
      readonly cookie: string;
      readonly recipient: string;
    };

/** Throws PermanentError for what no list ever sends. */
export function parseReturnAddress(part: string): ReturnAddress {
  if (part === "") return { kind: "trash" };
  const secret = /^(warn|probe)-(\d{1,15})\.([a-p]{20})-(.+)$/is.exec(part);
  if (secret) {
    const [, kind = "", seconds = "", cookie = "", rest = ""] = secret;
    const recipient = decodeAddress(rest);
    if (recipient !== undefined) {
      return {
        kind: kind.toLowerCase() === "warn" ? "warn" : "probe",
        seconds,
        cookie: cookie.toLowerCase(),
        recipient,
      };
    }
  }
  const post = /^(\d{1,15})-(.*)$/s.exec(part);
  if (!post) throw malformed();
  const number = Number(post[1]);
  const rest = post[2] as string;
  if (rest === "") return { kind: "report", number };
  // `N-LISTNO-user=host` was written by lists that shared one bounce address.
  const readings = [rest, rest.replace(/^\d+-/, "")].map(decodeAddress);
  const recipients = [...new Set(readings)].filter((each) => each !== undefined);
  if (recipients.length === 0) throw malformed();
  return { kind: "post", number, recipients };
}

function malformed(): PermanentError {
  return new PermanentError("Sorry, this is no address to which bounces of this list go. (#5.1.1)");
}

/** `ann=example.org` is `ann@example.org`: the last `=`. */
function decodeAddress(text: string): string | undefined {
  const at = text.lastIndexOf("=");
  if (at < 1 || at === text.length - 1) return undefined;
  return `${text.slice(0, at)}@${text.slice(at + 1)}`;
}
