/**
 * Every control file we know: its kind, its default, and a sentence for each value. qmail-showctl prints
 * them in this order, which is alphabetical.
 */

export interface ControlRow {
  readonly name: string;
  /** A list has one sentence per line, a number and a line one in all; compiled ones are not text. */
  readonly kind: "line" | "number" | "list" | "compiled";
  /** What counts when the file is missing: `me`, or a value; undefined = nothing. */
  readonly fallback?: string | number;
  /** With the value put in. */
  sentence(value: string): string;
  /** Said of a missing file that has no fallback. */
  readonly missing?: string;
}

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
    fallback: "me",
    sentence: (v) => `Bounce host name is ${v}.`,
  },
  {
    name: "concurrencylocal",
    kind: "number",
    fallback: 10,
    sentence: (v) => `Local concurrency is ${v}.`,
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
    fallback: "me",
    sentence: (v) => `Default domain name is ${v}.`,
  },
  {
    name: "defaulthost",
    kind: "line",
    fallback: "me",
    sentence: (v) => `Default host name is ${v}.`,
  },
  {
    name: "doublebouncehost",
    kind: "line",
    fallback: "me",
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
    fallback: "me",
    sentence: (v) => `Presumed domain name is ${v}.`,
  },
  {
    name: "helohost",
    kind: "line",
    fallback: "me",
    sentence: (v) => `SMTP client HELO host name is ${v}.`,
  },
  {
    name: "idhost",
    kind: "line",
    fallback: "me",
    sentence: (v) => `Message-ID host name is ${v}.`,
  },
  {
    name: "localiphost",
    kind: "line",
    fallback: "me",
    sentence: (v) => `Local IP address becomes ${v}.`,
  },
  {
    name: "locals",
    kind: "list",
    fallback: "me",
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
    fallback: "me",
    sentence: (v) => `Plus domain name is ${v}.`,
  },
  {
    name: "qmqpservers",
    kind: "list",
    sentence: (v) => `QMQP server: ${v}.`,
    missing: "No QMQP servers.",
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
    missing: "SMTP clients may send messages to any recipient.",
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
    fallback: "me",
    sentence: (v) => `SMTP greeting: 220 ${v}.`,
  },
  {
    name: "smtproutes",
    kind: "list",
    sentence: (v) => `SMTP route: ${v}`,
    missing: "No artificial SMTP routes.",
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
