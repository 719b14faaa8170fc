/**
 * The header of an injected message: addresses rewritten, recipients and sender collected, fields
 * deleted and missing ones generated. Everything is binary strings, one char = one byte.
 */
import { asciiLower } from "../../lib/address.ts";
import { date822, dateCompact } from "../../lib/date822.ts";
import { PermanentError } from "../../lib/errors.ts";
import type { Host } from "../../lib/program.ts";
import { rewriteList } from "./address-list.ts";
import { type FieldRule, fieldTable } from "./field-table.ts";
import type { RawField } from "./message-reader.ts";
import type { Persona } from "./persona.ts";
import { rewriteAddress } from "./rewrite-address.ts";
import { addressFrom, fieldFrom, type Token, tokenise } from "./token.ts";

export interface CompletedHeader {
  /** Without the empty line. */
  readonly text: string;
  /** From the header; of the resending when it is a resent message. */
  readonly recipients: readonly string[];
  /** From Return-Path. */
  readonly sender: string | undefined;
  /** A field that should name recipients and cannot be parsed, when no other one names any. */
  readonly unusable: RawField | undefined;
}

export function unparsable(field: RawField): PermanentError {
  return new PermanentError(`unable to parse this line:\n${field.name}:${field.value}`);
}

/** `followupLists`: lower-cased addresses for Mail-Followup-To. */
export function completeHeader(
  host: Host,
  who: Persona,
  fields: readonly RawField[],
  followupLists: ReadonlySet<string>,
): CompletedHeader {
  const work = new HeaderWork(who);
  for (const field of fields) work.take(field);
  const generated = work.missing(host, followupLists);
  return {
    text: [...generated, ...work.lines].map((line) => `${line}\n`).join(""),
    recipients: work.recipients,
    sender: work.sender,
    unusable: work.recipients.length === 0 || !work.parsedSource ? work.failedSource : undefined,
  };
}

class HeaderWork {
  readonly lines: string[] = [];
  sender: string | undefined;
  private readonly who: Persona;
  private readonly seen = new Set<string>();
  private readonly found = { plain: [] as string[], resent: [] as string[] };
  private readonly failed: { plain?: RawField; resent?: RawField } = {};
  private readonly parsed = { plain: false, resent: false };
  private isResent = false;
  /** Of To and Cc: one list of addresses as written per field. */
  private readonly followup: { bare: string; text: string }[][] = [];

  constructor(who: Persona) {
    this.who = who;
  }

  private get kind(): "plain" | "resent" {
    return this.isResent ? "resent" : "plain";
  }

  get recipients(): readonly string[] {
    return this.found[this.kind];
  }

  get failedSource(): RawField | undefined {
    return this.failed[this.kind];
  }

  get parsedSource(): boolean {
    return this.parsed[this.kind];
  }

  take(field: RawField): void {
    const key = asciiLower(field.name);
    const rule = fieldTable.get(key);
    if (rule?.resent) this.isResent = true;
    const { hacks } = this.who;
    if (key === "from" && hacks.f) return;
    if (key === "message-id" && hacks.i) return;
    if (key === "return-path" && hacks.s) return;
    if (!rule?.deleted) this.seen.add(key);
    const text = rule?.rewrite ? this.rewrite(field, key, rule) : undefined;
    if (!rule?.deleted) this.lines.push(text ?? `${field.name}:${field.value}`);
  }

  /** The field with its addresses rewritten; undefined when it stays as it was. */
  private rewrite(field: RawField, key: string, rule: FieldRule): string | undefined {
    const tokens = tokenise(field.value);
    const followup: { bare: string; text: string }[] = [];
    const list =
      tokens && rewriteList(tokens, (address) => this.address(address, key, rule, followup));
    if (rule.followup && list?.complete) this.followup.push(followup.toReversed());
    if (!list?.complete) {
      if (!rule.recipients) throw unparsable(field);
      this.failed[rule.recipients] = field;
      return undefined;
    }
    if (rule.recipients) this.parsed[rule.recipients] = true;
    return list.tokens.length > 0 ? fieldFrom(field.name, list.tokens) : undefined;
  }

  private address(
    address: readonly Token[],
    key: string,
    rule: FieldRule,
    followup: { bare: string; text: string }[],
  ): Token[] {
    const tokens = rewriteAddress(address, this.who.domains);
    const bare = addressFrom(tokens);
    if (rule.recipients && bare !== "") this.found[rule.recipients].push(bare);
    if (key === "return-path") this.sender ??= bare;
    if (rule.followup && bare !== "") followup.push({ bare, text: fieldFrom("", tokens).slice(2) });
    return tokens;
  }

  /** Generated fields, in their order. */
  missing(host: Host, followupLists: ReadonlySet<string>): string[] {
    const { who } = this;
    const now = host.now();
    const lead = this.isResent ? "Resent-" : "";
    const has = (name: string): boolean => this.seen.has(asciiLower(lead + name));
    const lines: string[] = [];
    if (!has("Date")) lines.push(`${lead}Date: ${date822(now)}`);
    if (!has("Message-ID")) {
      const id = `${dateCompact(now)}.${host.pid}.qmail@${who.idHost}`;
      lines.push(`${lead}Message-ID: <${Buffer.from(id).toString("latin1")}>`);
    }
    if (!has("From")) lines.push(fieldFrom(`${lead}From`, who.from()));
    if (!has("To") && !has("Cc")) lines.push(`${lead}Cc: recipient list not shown: ;`);
    if (!this.isResent && !has("Mail-Followup-To"))
      lines.push(...this.followupField(followupLists));
    return lines;
  }

  private followupField(lists: ReadonlySet<string>): string[] {
    const all = this.followup.toReversed().flat();
    if (!all.some(({ bare }) => lists.has(asciiLower(bare)))) return [];
    return [`Mail-Followup-To: ${all.map(({ text }) => text).join(",\n  ")}`];
  }
}
