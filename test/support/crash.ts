/**
 * One crash: a scripted day of mail, qmail-send killed at a failpoint, started again, and what must
 * hold afterwards. Every recipient address occurs in one message only, so a delivery can be traced.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { DropWriter } from "../../src/mta/queue/drop-file.ts";
import { eventually, makeHome, type Peer, QmailSendProcess, type Work } from "./qmail-send.ts";

export interface Mail {
  readonly from: string;
  readonly to: readonly string[];
  readonly body: string;
}

/** Small and large bodies, few and many recipients, local and remote, some that fail. */
export function dayOfMail(tag: string, size: { list: number; large: number }): Mail[] {
  const list = Array.from({ length: size.list }, (_, i) => `${tag}m${i}@site${i % 7}.test`);
  return [
    { from: "joe@local.test", to: [`${tag}a@far.test`, `${tag}b@local.test`], body: "S: 1\n\nx\n" },
    { from: `${tag}joe@local.test`, to: [`${tag}bad@far.test`, `${tag}c@far.test`], body: "\nx\n" },
    { from: "list-@local.test-@[]", to: list, body: `\n${"large line\n".repeat(size.large)}` },
    { from: "joe@local.test", to: [`${tag}d@virt.test`], body: "S: 4\n\nx\n" },
  ];
}

function verdict(work: Work): "K" | "D" {
  return work.original.includes("bad@") ? "D" : "K";
}

export interface Seen {
  readonly delivered: Map<string, number>;
  readonly bounces: string[];
}

async function attach(send: QmailSendProcess, seen: Seen): Promise<Peer[]> {
  const peers: Peer[] = [];
  for (const role of ["remote", "local"] as const) {
    const peer = await send.peer(role);
    peer.deliver = (work) => {
      const name = `${work.sender === "" ? "bounce to " : ""}${work.original}`;
      seen.delivered.set(name, (seen.delivered.get(name) ?? 0) + 1);
      return verdict(work);
    };
    peers.push(peer);
  }
  return peers;
}

const nobody = (): Seen => ({ delivered: new Map(), bounces: [] });

/**
 * Whether the process died at the failpoint; false: the work was done (or `killAfter` said so) before the
 * point was reached so often, and it was killed then.
 */
export async function crashAt(
  failpoint: string,
  mails: readonly Mail[],
  options: { killAfter?: (seen: Seen) => boolean } = {},
): Promise<boolean> {
  const { home, remove } = makeHome({ virtualdomains: "virt.test:v" });
  // What a command dropped counts as accepted at once: it is on disk.
  const dropped = { from: "joe@local.test", to: ["dropped@far.test"], body: "\nx\n" };
  const writer = new DropWriter({ home, pid: 1 });
  writer.put(dropped.body);
  writer.from(dropped.from);
  for (const to of dropped.to) writer.to(to);
  writer.commit();
  const first = new QmailSendProcess(home, { EZQMAIL_FAILPOINT: failpoint });
  let second: QmailSendProcess | undefined;
  let died = false;
  try {
    const accepted: Mail[] = [dropped];
    const before = nobody();
    let dead = false;
    void first.exited.then(() => {
      dead = true;
    });
    await first.started();
    expect(first.failed, first.log).toBeUndefined();
    const work = (async () => {
      await attach(first, before);
      const smtpd = await first.peer("smtpd", 77, "intake");
      const ask = first.ask("flush").catch(() => undefined);
      await Promise.all(
        mails.map(async (mail) => {
          const answer = await smtpd.submit(mail);
          if (answer?.type === "accepted") accepted.push(mail);
        }),
      );
      await ask;
    })().catch(() => undefined); // the death of the process breaks whatever is under way
    await eventually(
      () =>
        dead ||
        options.killAfter?.(before) ||
        first.log.split("\nend msg ").length > mails.length + 2,
      `${failpoint}: death or the end of the work`,
    );
    died = dead && first.child.signalCode === "SIGKILL";
    await first.kill();
    await work;

    const after = nobody();
    second = new QmailSendProcess(home);
    expect(await second.started(), second.log).toBe(true);
    await attach(second, after);
    await drained(second, home);
    const lost = accepted
      .flatMap((mail) => mail.to)
      .filter((to) => !before.delivered.has(to) && !after.delivered.has(to));
    expect(lost, `lost at ${failpoint}`).toEqual([]);
    for (const mail of accepted) {
      if (!mail.to.some((to) => to.includes("bad@"))) continue;
      const bounce = `bounce to ${mail.from}`;
      const told = (before.delivered.get(bounce) ?? 0) + (after.delivered.get(bounce) ?? 0);
      expect(told, `bounce at ${failpoint}`).toBeGreaterThanOrEqual(1);
    }
    // Queued twice would show as twice in one run; once in each run is the documented window.
    for (const [name, times] of [...before.delivered, ...after.delivered]) {
      expect(times, `${name} at ${failpoint}`).toBe(1);
    }
    expect(readdirSync(join(home, "queue", "mess")), failpoint).toEqual([]);
    expect(readdirSync(join(home, "queue", "drop")), failpoint).toEqual([]);
    expect(await second.stop()).toBe(0);
  } finally {
    await first.kill();
    await second?.kill();
    remove();
  }
  expect(existsSync(home)).toBe(false);
  return died;
}

/** Until nothing is left in queue and drop directory. */
async function drained(send: QmailSendProcess, home: string): Promise<void> {
  for (let tries = 0; tries < 1500; tries++) {
    // In the order mail takes: what is in neither by then is through.
    const taken = readdirSync(join(home, "queue", "drop")).length === 0;
    const { text } = await send.ask("qstat");
    if (taken && text.startsWith("messages in queue: 0\n")) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`the queue does not drain:\n${send.log}`);
}
