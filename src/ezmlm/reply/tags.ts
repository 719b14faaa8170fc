/**
 * What texts are about: the values behind `<#A#>`, `<#R#>` … and the names Handlebars templates use
 * for them. Reference ezmlm-texts.md 1.
 */
import { quoteAddress, quoteLocal } from "../../lib/address.ts";
import { commandAddress, localFor, mailto, type ReplyList, targetPart } from "./reply-list.ts";

export interface TextTags {
  /** `digest allow deny`: command addresses are those of this database. */
  readonly db?: string;
  /** Message number, `<#n#>`. */
  readonly number?: number;
  /** Manage: whom it is about. Store: where to accept or confirm. */
  readonly A?: string;
  /** Where the reader answers: confirmation, reject or discard address. */
  readonly R?: string;
  /** Action token, as `sc.` or `accept-`. */
  readonly X?: string;
}

const unset = "?????";

/** Value of a one-letter tag; undefined: no such tag. */
export function tagValue(list: ReplyList, tags: TextTags, letter: string): string | undefined {
  const { A, R } = tags;
  const reply = R === undefined ? "" : R.slice(0, Math.max(0, R.lastIndexOf("@")));
  const lead = `${list.local}-`;
  switch (letter) {
    case "L":
      return quoteLocal(list.local);
    case "l":
      return quoteLocal(localFor(list, tags.db));
    case "h":
    case "H":
      return list.host;
    case "d":
      return list.dirArgument;
    case "n":
      return tags.number === undefined ? unset : String(tags.number);
    case "A":
      return A === undefined ? unset : written(A);
    case "a":
      return A === undefined
        ? unset
        : A.slice(0, A.lastIndexOf("@") < 0 ? A.length : A.lastIndexOf("@"));
    case "t":
      return A === undefined ? unset : targetPart(A);
    case "R":
      return R === undefined ? unset : written(R);
    case "r":
      return R === undefined ? unset : reply;
    case "c":
      return R === undefined ? unset : reply.startsWith(lead) ? reply.slice(lead.length) : reply;
    case "C":
      return /\.([a-p]{20})(?:-|$)/.exec(reply)?.[1] ?? unset;
    case "T":
      return /[-.](\d+)\./.exec(reply)?.[1] ?? unset;
    case "X":
      return tags.X ?? unset;
    default:
      return undefined;
  }
}

/** An address as the reader can copy it: in quotes where a space or `@` in it asks for them. */
function written(address: string): string {
  return /[\s@].*@/s.test(address) ? quoteAddress(address) : address;
}

const flags = (
  "archived indexed threaded public modgetonly subgetonly digested prefix nosubconfirm " +
  "nounsubconfirm modcanlist modcanedit modpost modpostonly modsub remote subpostonly " +
  "noreturnposts confirmpost addtrailer nowarn mimeremove"
).split(" ");

/** Every name a Handlebars text may use. `has.FLAG` tells the list's flag files. */
export function templateContext(
  list: ReplyList,
  tags: TextTags,
  source: string,
): Record<string, string | boolean | Record<string, boolean>> {
  const letters = Array.from("LlhHdnAatRrcCTX", (letter) => [
    letter,
    tagValue(list, tags, letter) ?? "",
  ]);
  const { db = "" } = tags;
  const has = source.includes("has.") ? flags.map((flag) => [flag, list.has(flag)]) : [];
  return {
    ...Object.fromEntries(letters),
    list: quoteAddress(`${list.local}@${list.host}`),
    name: list.local,
    host: list.host,
    // `joe-list` or `joe-list-digest`: what command addresses begin with
    commands: quoteLocal(localFor(list, db)),
    place: quoteAddress(`${localFor(list, db)}@${list.host}`),
    help: quoteAddress(commandAddress(list, "help", db)),
    owner: quoteAddress(commandAddress(list, "owner")),
    subscribe: quoteAddress(commandAddress(list, "subscribe", db)),
    unsubscribe: quoteAddress(commandAddress(list, "unsubscribe", db)),
    address: tags.A === undefined ? unset : written(tags.A),
    target: tags.A === undefined ? unset : targetPart(tags.A),
    reply: tags.R === undefined ? unset : written(tags.R),
    replyLink: tags.R === undefined ? unset : mailto(tags.R),
    number: tags.number === undefined ? unset : String(tags.number),
    digest: db === "digest",
    allow: db === "allow",
    deny: db === "deny",
    has: Object.fromEntries(has) as Record<string, boolean>,
  } as Record<string, string | boolean | Record<string, boolean>>;
}
