/**
 * What a reply needs to know about its list. `List` of list/list.ts fits; so does a list of another
 * kind, as the one behind a global command address.
 */
import { databaseLocal } from "../list/value-file.ts";

export interface ReplyList {
  /** Absolute. */
  readonly dir: string;
  /** Directory of its texts in its language, absolute. */
  readonly language?: string | undefined;
  /** As given on the command line, `<#d#>`. */
  readonly dirArgument: string;
  readonly local: string;
  readonly host: string;
  readonly listId: string | undefined;
  /** Charset of the list's own text files; `:Q` or `:B` also asks for an encoded part. */
  readonly charset: { readonly name: string; readonly encoding: "" | "Q" | "B" };
  has(flag: string): boolean;
  line(name: string): string | undefined;
}

/** Local part of the list for a database: `joe-list-digest`. */
export function localFor(list: Pick<ReplyList, "local">, db = ""): string {
  return databaseLocal(list.local, db);
}

/** A command address, as `joe-list-digest-help@host`. */
export function commandAddress(
  list: Pick<ReplyList, "local" | "host">,
  command: string,
  db = "",
): string {
  return `${localFor(list, db)}-${command}@${list.host}`;
}

/** `user=domain` for the end of a command address; the last `@` becomes `=`. */
export function targetPart(address: string): string {
  const at = address.lastIndexOf("@");
  return at < 0 ? address : `${address.slice(0, at)}=${address.slice(at + 1)}`;
}

/** An address for a `mailto:` link: percent-encoded where a URL or a header would break. RFC 6068 2. */
export function mailto(address: string): string {
  const encoded = Array.from(Buffer.from(address), (byte) =>
    byte <= 0x20 || byte >= 0x7f || '"?;<>&/:%+#'.includes(String.fromCharCode(byte))
      ? `%${byte.toString(16).toUpperCase().padStart(2, "0")}`
      : String.fromCharCode(byte),
  );
  return `mailto:${encoded.join("")}`;
}
