/**
 * Mail to the addresses of a list, delivered as a local worker does it: the .qmail links ezmlm-make
 * wrote, the stock lines behind them, programs in process, a recorder for the queue.
 */
import { hostname, tmpdir } from "node:os";
import { TemporaryError } from "../../src/lib/errors.ts";
import { planDelivery, runDelivery } from "../../src/mta/local/delivery.ts";
import { MaildirWriter } from "../../src/mta/local/maildir.ts";
import { MaildirNames } from "../../src/mta/local/maildir-names.ts";
import { StoredMessage } from "../../src/mta/local/stored-message.ts";
import { findProgram } from "../../src/programs.ts";
import {
  headerOf,
  type RecordedMail,
  RecorderQueue,
  root,
  type TestList,
  TextOutput,
} from "./ezmlm.ts";
import { plainPath } from "./root.ts";

export interface Delivered {
  readonly code: number;
  /** The report: what the programs said. */
  readonly text: string;
  readonly mails: readonly RecordedMail[];
}

export interface MailSettings {
  /** What follows the name of the list: "" (a post), `-help`. */
  readonly to?: string;
  readonly sender: string;
  readonly message: string | Buffer;
  readonly queue?: RecorderQueue;
  readonly now?: Date;
  readonly key?: string;
}

let deliveries = 0;

/** One delivery, every line of the file. Inside a delivery of its own unless `key` names one again. */
export async function deliver(list: TestList, mail: MailSettings): Promise<Delivered> {
  const queue = mail.queue ?? new RecorderQueue();
  const before = queue.mails.length;
  const output = new TextOutput();
  const now = (): Date => mail.now ?? new Date();
  const { sender } = mail;
  const local = `${list.local}${mail.to ?? ""}`;
  const domain = list.host;
  const ids = {
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    pid: process.pid,
    signalGroup: undefined,
  };
  const plan = planDelivery(
    { user: "owner", home: list.home, local, dash: "-", ext: local, domain, sender },
    "./Mailbox",
  );
  const code = await runDelivery(plan, {
    site: {
      ...ids,
      findProgram,
      queue,
      home: list.home,
      root,
      now,
      env: { PATH: plainPath, QMAILQUEUE: "/bin/false" },
      maildirs: new MaildirWriter(new MaildirNames(process.pid, hostname()), now),
    },
    message: StoredMessage.of(Buffer.from(mail.message), tmpdir()),
    output,
    errors: output,
    signal: new AbortController().signal,
    deliveryKey: mail.key ?? `test-${++deliveries}.1`,
    dryRun: false,
  });
  return { code, text: output.text, mails: queue.mails.slice(before) };
}

/** Refuses the commits up to `failures`, counted from now; then takes mail again. */
export function failingQueue(failures: number): RecorderQueue {
  const queue = new RecorderQueue();
  const open = queue.open.bind(queue);
  let left = failures;
  queue.open = (options) => {
    const submission = open(options);
    return {
      ...submission,
      commit: async () => {
        if (left-- > 0) throw new TemporaryError("qq write error or disk full (#4.3.0)");
        return submission.commit();
      },
    };
  };
  return queue;
}

/** A post to the list, with everything a stock list asks for. */
export function postText(subject = "Hello", body = "Text.\n", list = "joe-list"): string {
  return `From: Stranger <stranger@x.example>\nTo: ${list}@lists.example.org\nSubject: ${subject}\nMessage-ID: <1@x.example>\n\n${body}`;
}

/** What follows the list's name in the address a field of the mail gives, as `-accept-…`. */
export function commandIn(mail: RecordedMail | undefined, field: string, list: TestList): string {
  if (!mail) throw new Error("no mail");
  const [address = ""] = headerOf(mail).take(field).replace(/[<>]/g, "").split(`@${list.host}`);
  if (!address.startsWith(list.local)) throw new Error(`${field}: ${address}`);
  return address.slice(list.local.length);
}
