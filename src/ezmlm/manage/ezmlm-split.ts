/**
 * NAME         ezmlm-split - hand subscribers to the sublist that serves them
 * SYNOPSIS     ezmlm-split [-dDvV] DIR [splitfile]
 * DESCRIPTION  Stands in DIR/manager before ezmlm-manage. For subscribe and
 *              unsubscribe it finds the first line of DIR/split that fits the
 *              address and sends the command on to that list. Anything else,
 *              and addresses that belong here, go to the next line.
 *              Lines: domain:lo:hi:list[@host]. The domain is written with its
 *              top first (com.example) and may be a beginning of it or empty;
 *              lo to hi are hash numbers, 0 to 52 when left out. An empty list
 *              means this one.
 * OPTIONS      -d  one message (default)
 *              -D  addresses from standard input, `list@host: address` for each
 *                  to standard output
 *              -v, -V  print the version
 * ENVIRONMENT  SENDER, DEFAULT, DTLINE
 * FILES        DIR/split
 * EXIT CODES   0 not for a sublist. 99 sent on. 100 refused. 111 try again,
 *              also for a mistake in DIR/split.
 * SEE ALSO     ezmlm-manage, ezmlm-send
 */

import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { asciiLower, splitAddress } from "../../lib/address.ts";
import { errorText, isErrno, PermanentError, TemporaryError } from "../../lib/errors.ts";
import { type ExitCode, STOP, SUCCESS } from "../../lib/exit-code.ts";
import { findField } from "../../lib/header.ts";
import { readAll } from "../../lib/message-input.ts";
import { OptionTable } from "../../lib/option.ts";
import type { Host } from "../../lib/program.ts";
import { handIn } from "../../lib/queue-door.ts";
import type { List } from "../list/list.ts";
import { listProgram } from "../list/list-program.ts";
import { requireSender } from "../list/sender.ts";
import { versionRows } from "../list/version.ts";
import { returnAddress } from "../reply/compose.ts";
import { readHead } from "../reply/message-head.ts";
import { targetPart } from "../reply/reply-list.ts";
import { catalogue } from "../reply/texts.ts";
import { addressSlot } from "../subscribers/hash.ts";
import { isPlainAddress, toAddress } from "./request.ts";

const table = new OptionTable(
  "ezmlm-split",
  [
    { letter: "d", help: "one message (default)" },
    { letter: "D", negates: "d", help: "addresses from standard input to standard output" },
    ...versionRows,
  ],
  "DIR [splitfile]",
);

export interface SplitRule {
  /** Reversed domain, lower case: `com.example`. */
  readonly domain: string;
  readonly low: number;
  readonly high: number;
  readonly list: string;
  readonly host: string;
}

export const ezmlmSplit = listProgram(
  table,
  async (host, list, parsed, [file]) => {
    const rules = readRules(file === undefined ? list.path("split") : resolve(list.dir, file));
    if (parsed.flag("d") === false) return await filter(host, list, rules ?? []);
    return rules ? await route(host, list, rules) : SUCCESS;
  },
  { operands: 1 },
);

async function route(host: Host, list: List, rules: readonly SplitRule[]): Promise<ExitCode> {
  const { DEFAULT, DTLINE } = host.env;
  if (DEFAULT === undefined) throw new PermanentError(catalogue(host, list, "ERR_NODEFAULT"));
  const match = /^(subscribe|unsubscribe)(?:-(.*))?$/is.exec(DEFAULT);
  if (!match) return SUCCESS;
  const sender = requireSender(host);
  if (DTLINE === undefined) throw new PermanentError(catalogue(host, list, "ERR_NODTLINE"));
  const target = match[2] ? toAddress(match[2]) : sender;
  if (!isPlainAddress(target)) throw new PermanentError(catalogue(host, list, "ERR_BAD_ADDRESS"));
  const rule = findRule(rules, target);
  if (!rule || rule.list === "") return SUCCESS;
  const head = await readHead(host.stdin);
  if (findField(head.fields, "Mailing-List")) {
    throw new PermanentError(catalogue(host, list, "ERR_MAILING_LIST"));
  }
  if (head.fields.some((field) => field.raw === DTLINE.trimEnd())) {
    throw new PermanentError(catalogue(host, list, "ERR_LOOPING"));
  }
  const command = asciiLower(match[1] ?? "");
  const receipt = await handIn(host.queue, { key: "answer" }, (out) => {
    out.put(`${DTLINE.replace(/[\r\n\0]+/g, "")}\n`);
    out.put(head.headerBytes);
    out.put("\n");
    out.from(returnAddress(list));
    out.to(`${rule.list}-${command}-${targetPart(target)}@${rule.host || list.host}`);
  });
  host.stderr.write(`ezmlm-split: info: qp ${receipt.id}\n`);
  return STOP;
}

async function filter(host: Host, list: List, rules: readonly SplitRule[]): Promise<ExitCode> {
  const text = (await readAll(host.stdin)).toString("utf8");
  for (const line of text.split("\n")) {
    const address = line.trim();
    if (address === "") continue;
    const rule = findRule(rules, address);
    const name = rule?.list ? `${rule.list}@${rule.host || list.host}` : list.address;
    host.stdout.write(`${name}: ${address}\n`);
  }
  return SUCCESS;
}

/** Last two labels, top first, lower case: `d@a.b.c` is `c.b`. */
export function domainKey(address: string): string {
  const labels = asciiLower(splitAddress(address).domain).replace(/\.$/, "").split(".");
  return labels.slice(-2).reverse().join(".");
}

export function findRule(rules: readonly SplitRule[], address: string): SplitRule | undefined {
  const key = domainKey(address);
  const hash = addressSlot(address);
  return rules.find((rule) => key.startsWith(rule.domain) && hash >= rule.low && hash <= rule.high);
}

/** Rules of a split file; undefined: there is no such file. */
function readRules(path: string): SplitRule[] | undefined {
  try {
    return parseRules(readFileSync(path, "utf8"));
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    if (error instanceof TemporaryError) throw error;
    throw new TemporaryError(`Unable to read ${path}: ${errorText(error)}. (#4.3.0)`, {
      cause: error,
    });
  }
}

/** Throws TemporaryError on a mistake: mail waits until it is mended. */
export function parseRules(text: string): SplitRule[] {
  const rules: SplitRule[] = [];
  for (const line of text.split("\n")) {
    if (line.startsWith("#") || !line.includes(":")) continue;
    const [domain = "", low = "", high = "", name = "", ...more] = line
      .split(":")
      .map((field) => field.trim());
    const isNumber = (field: string): boolean => field === "" || /^\d{1,2}$/.test(field);
    if (!isNumber(low) || !isNumber(high) || more.length > 0 || /[\s\0]/.test(name)) {
      throw new TemporaryError("There is a mistake in the split file. (#4.3.5)");
    }
    const { local, domain: host } = splitAddress(name);
    rules.push({
      domain: asciiLower(domain),
      low: Number(low),
      high: high === "" ? 52 : Math.min(52, Number(high)),
      list: local,
      host,
    });
  }
  return rules;
}
