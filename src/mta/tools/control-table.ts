/**
 * Every control file we know: its kind, its default, and a sentence for each value. qmail-showctl prints
 * them in this order, which is alphabetical.
 */

import type { Control } from "../../lib/control.ts";

export interface ControlRow {
  readonly name: string;
  /** A list has one sentence per line, a number and a line one in all; compiled ones are not text. */
  readonly kind: "line" | "number" | "list" | "compiled";
  /** What counts when the file is missing; undefined = nothing. */
  readonly fallback?: string | number | ((control: Control) => string | number | undefined);
  /** With the value put in. */
  sentence(value: string): string;
  /** Said of a missing file that has no fallback. */
  readonly missing?: string;
  /** Of a compiled file: what makes it of the file of its name without `.cdb`, and whether that one must stay. */
  readonly compiler?: { readonly name: string; readonly needsSource: boolean };
}

const me = (control: Control): string | undefined => control.line("me");

const INCOMING = 100;

const seconds =
  (what: string) =>
  (n: string): string =>
    `${what} timeout is ${n} seconds.`;

export const controlTable: readonly ControlRow[] = [
  {
    name: "badmailfrom",
    kind: "list",
    sentence: (v) => `${v} not accepted in MAIL FROM.`,
    missing: "Any MAIL FROM is allowed.",
  },
  {
    name: "bouncefrom",
    kind: "line",
    fallback: "MAILER-DAEMON",
    sentence: (v) => `Bounce user name is ${v}.`,
  },
  {
    name: "bouncehost",
    kind: "line",
    fallback: me,
    sentence: (v) => `Bounce host name is ${v}.`,
  },
  {
    name: "bouncemaxbytes",
    kind: "number",
    fallback: 0,
    sentence: (v) =>
      v === "0" ? "Bounces hold the whole message." : `Bounces hold ${v} bytes of the message.`,
  },
  {
    name: "concurrencyincoming",
    kind: "number",
    fallback: INCOMING,
    sentence: (v) => `SMTP server concurrency is ${v}.`,
  },
  {
    name: "concurrencylocal",
    kind: "number",
    fallback: 10,
    sentence: (v) => `Local concurrency is ${v}.`,
  },
  {
    name: "concurrencyperip",
    kind: "number",
    fallback: (control) => Math.max(1, control.number("concurrencyincoming", INCOMING) >> 1),
    sentence: (v) => `SMTP server concurrency is ${v} for one client address.`,
  },
  {
    name: "concurrencyremote",
    kind: "number",
    fallback: 20,
    sentence: (v) => `Remote concurrency is ${v}.`,
  },
  {
    name: "databytes",
    kind: "number",
    fallback: 0,
    sentence: (v) => `SMTP DATA limit is ${v} bytes${v === "0" ? " (no limit)" : ""}.`,
  },
  {
    name: "defaultdomain",
    kind: "line",
    fallback: me,
    sentence: (v) => `Default domain name is ${v}.`,
  },
  {
    name: "defaulthost",
    kind: "line",
    fallback: me,
    sentence: (v) => `Default host name is ${v}.`,
  },
  {
    name: "doublebouncehost",
    kind: "line",
    fallback: me,
    sentence: (v) => `2B recipient host: ${v}.`,
  },
  {
    name: "doublebounceto",
    kind: "line",
    fallback: "postmaster",
    sentence: (v) => `2B recipient user: ${v}.`,
  },
  {
    name: "envnoathost",
    kind: "line",
    fallback: me,
    sentence: (v) => `Presumed domain name is ${v}.`,
  },
  {
    name: "helohost",
    kind: "line",
    fallback: me,
    sentence: (v) => `SMTP client HELO host name is ${v}.`,
  },
  {
    name: "idhost",
    kind: "line",
    fallback: me,
    sentence: (v) => `Message-ID host name is ${v}.`,
  },
  {
    name: "localiphost",
    kind: "line",
    fallback: me,
    sentence: (v) => `Local IP address becomes ${v}.`,
  },
  {
    name: "locals",
    kind: "list",
    fallback: me,
    sentence: (v) => `Messages for ${v} are delivered locally.`,
  },
  { name: "me", kind: "line", sentence: (v) => `My name is ${v}.`, missing: "Undefined! Uh-oh" },
  {
    name: "morercpthosts",
    kind: "list",
    sentence: (v) => `SMTP clients may send messages to recipients at ${v}.`,
    missing: "No effect.",
  },
  {
    name: "morercpthosts.cdb",
    kind: "compiled",
    sentence: () => "(compiled from morercpthosts)",
    missing: "No effect.",
    compiler: { name: "qmail-newmrh", needsSource: true },
  },
  {
    name: "percenthack",
    kind: "list",
    sentence: (v) => `The percent hack is allowed for user%host@${v}.`,
    missing: "The percent hack is not allowed.",
  },
  {
    name: "plusdomain",
    kind: "line",
    fallback: me,
    sentence: (v) => `Plus domain name is ${v}.`,
  },
  {
    name: "queuelifetime",
    kind: "number",
    fallback: 604800,
    sentence: (v) => `Message lifetime in the queue is ${v} seconds.`,
  },
  {
    name: "rcpthosts",
    kind: "list",
    sentence: (v) => `SMTP clients may send messages to recipients at ${v}.`,
    missing: "SMTP clients may send messages to no recipient, unless RELAYCLIENT is set.",
  },
  {
    name: "runas",
    kind: "line",
    sentence: (v) => `Without the qmail accounts root runs everything as ${v}.`,
    missing: "No account is named for root.",
  },
  {
    name: "smtpgreeting",
    kind: "line",
    fallback: me,
    sentence: (v) => `SMTP greeting: 220 ${v}.`,
  },
  {
    name: "smtproutes",
    kind: "list",
    sentence: (v) => `SMTP route: ${v}`,
    missing: "No artificial SMTP routes.",
  },
  {
    name: "tcp.smtp.cdb",
    kind: "compiled",
    sentence: () => "Who may connect, and with what variables, is said by client address.",
    missing: "No rules by client address.",
    compiler: { name: "tcprules", needsSource: false },
  },
  {
    name: "timeoutconnect",
    kind: "number",
    fallback: 60,
    sentence: seconds("SMTP client connection"),
  },
  { name: "timeoutremote", kind: "number", fallback: 1200, sentence: seconds("SMTP client data") },
  { name: "timeoutsmtpd", kind: "number", fallback: 1200, sentence: seconds("SMTP server data") },
  {
    name: "virtualdomains",
    kind: "list",
    sentence: (v) => `Virtual domain: ${v}`,
    missing: "No virtual domains.",
  },
];
