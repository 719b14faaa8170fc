/**
 * The two headers of a post: the one subscribers get and the one the archive keeps. Fields that stay
 * are byte exact; ours are made by code, and none of ours stands twice. Reference ezmlm.md 4.2,
 * ezmlm-formats.md 8 and 10.
 */
import { asciiLower } from "../../lib/address.ts";
import {
  fieldBytes,
  fieldKey,
  findField,
  type HeaderField,
  makeField,
  parseHeader,
} from "../../lib/header.ts";
import { encodeWords } from "../../lib/mime-word.ts";
import { subjectKey } from "../archive/index-line.ts";
import { phrase } from "./phrase.ts";
import { isLinkField } from "./unsubscribe-link.ts";

export interface HeaderRules {
  /** `LOCAL@HOST` of the list. */
  readonly address: string;
  /** Quoted for a header. */
  readonly quotedAddress: string;
  /** `Mailing-List` and `List-ID`; none on a sublist, whose parent wrote them. */
  readonly own: readonly HeaderField[];
  /** Lines of `headeradd`. */
  readonly add: readonly string[];
  /** Lower-cased names; wins over `remove`. */
  readonly keep: ReadonlySet<string> | undefined;
  readonly remove: ReadonlySet<string>;
  readonly replyToList: boolean;
  readonly allReceived: boolean;
  /** List-Unsubscribe is not for this header: every copy gets its own. */
  readonly hasLinks: boolean;
  /** As in DIR/prefix; "" for none. */
  readonly prefix: string;
  readonly number: number;
  /** When set, From becomes the list with this display name. */
  readonly authorViaList?: string;
}

export interface PostHeaders {
  readonly outgoing: readonly HeaderField[];
  readonly archived: readonly HeaderField[];
}

/** The line by which a list recognises a post that came back. Compared byte by byte. */
export function ownDeliveredTo(kind: string, address: string): HeaderField {
  return makeField("Delivered-To", `${kind} ${address}`);
}

export function postHeaders(fields: readonly HeaderField[], rules: HeaderRules): PostHeaders {
  const added = addedFields(rules);
  const delivered = ownDeliveredTo("mailing list", rules.address);
  const reply = rules.replyToList ? [makeField("Reply-To", `<${rules.quotedAddress}>`)] : [];
  const wanted = fields.filter((field) => stays(field, rules));
  const subject = rules.prefix === "" ? undefined : findField(wanted, "Subject");
  const archived = wanted.filter((field) => field !== subject);
  const addedNames = new Set(added.map(fieldKey));
  let received = 0;
  const copied = archived.filter((field) => {
    const key = fieldKey(field);
    if (key === "received") return rules.allReceived || received++ === 0;
    if (rules.hasLinks && isLinkField(field)) return false;
    return !addedNames.has(key);
  });
  const outgoing = rules.authorViaList === undefined ? copied : viaList(copied, rules);
  return {
    outgoing: [...added, delivered, ...reply, ...outgoing, ...prefixed(subject, rules)],
    archived: [delivered, ...reply, ...archived, ...(subject ? [subject] : [])],
  };
}

/** Ours, each name once: what code makes goes before what `headeradd` says. */
function addedFields(rules: HeaderRules): HeaderField[] {
  const text = rules.add.map((line) => `${line}\n`).join("");
  const seen = new Set(rules.own.map(fieldKey));
  const lines = parseHeader(Buffer.from(text)).fields.filter((field) => {
    const key = fieldKey(field);
    if (seen.has(key) || (rules.hasLinks && isLinkField(field))) return false;
    seen.add(key);
    return true;
  });
  return [...rules.own, ...lines];
}

function stays(field: HeaderField, rules: HeaderRules): boolean {
  const key = fieldKey(field);
  // Ours to write: the envelope sender of the post is not the author's.
  if (key === "return-path") return false;
  if (key === "reply-to" && rules.replyToList) return false;
  if (key === "list-id" && rules.own.some((own) => fieldKey(own) === "list-id")) return false;
  return rules.keep ? rules.keep.has(key) : !rules.remove.has(key);
}

function prefixed(subject: HeaderField | undefined, rules: HeaderRules): HeaderField[] {
  if (rules.prefix === "") return [];
  const value = subject ? fieldBytes(subject).slice(0, 4096) : "";
  if (subject && subjectKey(value, rules.prefix).hasPrefix) return [subject];
  const mark = rules.prefix.lastIndexOf("#");
  const text =
    mark < 0
      ? rules.prefix
      : `${rules.prefix.slice(0, mark)}${rules.number}${rules.prefix.slice(mark + 1)}`;
  // Between two encoded words white space vanishes, so it goes inside. RFC 2047 6.2.
  const tag = makeField("Subject", /[^\0-\x7f]/.test(text) ? encodeWords(`${text} `) : text);
  if (!subject) return [tag];
  const rest = subject.raw.slice(subject.raw.indexOf(":") + 1);
  const blank = /^[ \t\n]/.test(rest) ? "" : " ";
  return [{ name: "Subject", raw: `${tag.raw}${blank}${rest}` }];
}

/**
 * From is the list, the author stays reachable: in Reply-To, or in Cc when replies go to the list. An
 * author who asked for replies elsewhere keeps that, and is named in X-Original-From.
 */
function viaList(fields: readonly HeaderField[], rules: HeaderRules): HeaderField[] {
  const from = findField(fields, "From");
  if (!from) return [...fields];
  const original = from.raw.slice(from.raw.indexOf(":") + 1);
  const from2 = makeField("From", `${phrase(rules.authorViaList ?? "")} <${rules.quotedAddress}>`);
  const cc = rules.replyToList ? findField(fields, "Cc") : undefined;
  const named = !rules.replyToList && findField(fields, "Reply-To") ? "X-Original-From" : undefined;
  const name = named ?? (rules.replyToList ? "Cc" : "Reply-To");
  return fields.flatMap((field) => {
    if (field === cc)
      return [{ name: field.name, raw: `${field.raw},\n${continuation(original)}` }];
    if (field !== from) return [field];
    return cc ? [from2] : [from2, { name, raw: `${name}:${original}` }];
  });
}

function continuation(value: string): string {
  return /^[ \t]/.test(value) ? value : ` ${value}`;
}

/** Lower-cased names from `headerkeep`, `headerremove`, `headerreject`; a colon may follow. */
export function fieldNames(lines: readonly string[]): Set<string> {
  return new Set(lines.map((line) => asciiLower(line.split(":", 1)[0]?.trim() ?? "")));
}
