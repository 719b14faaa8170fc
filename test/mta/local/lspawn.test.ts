/** What qmail-lspawn says to qmail-send, whatever workers say to it. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { FrameWriter } from "../../../src/lib/frame.ts";
import { channelReader, REPORT_LIMIT, type Report } from "../../../src/mta/channel/protocol.ts";
import { readQueue, writeQueue } from "../../../src/mta/channel/queue-messages.ts";
import { Lspawn } from "../../../src/mta/local/lspawn.ts";
import { Users } from "../../../src/mta/local/users.ts";

const throwsWarning = (text: string): void => {
  throw new Error(text);
};

test("users/assign that cannot be read is named in the log, once", async () => {
  const home = mkdtempSync(join(tmpdir(), "lspawn-users-"));
  try {
    mkdirSync(join(home, "users"));
    writeFileSync(join(home, "users", "assign"), "=joe:joe:1:1:/home/joe:::\n");
    const warnings: string[] = [];
    const reports: Report[] = [];
    const users = new Users(home, { find: async () => undefined }, { uid: 1, gid: 1 });
    const lspawn = new Lspawn(
      users,
      (message) => message.type === "reports" && reports.push(...message.reports),
      (text) => warnings.push(text),
    );
    for (let delivery = 1; delivery <= 3; delivery++) {
      lspawn.receive({
        type: "local",
        message: 1,
        token: Buffer.alloc(1),
        sizeBytes: 1,
        sender: "",
        delivery,
        deliveryKey: `1-1.${delivery}`,
        original: "joe@x.test",
        recipient: "joe@x.test",
        prefix: "",
      });
    }
    lspawn.sendReports();
    expect(reports.map(({ verdict, text }) => verdict + text)).toEqual(
      Array(3).fill("ZTrouble reading users/cdb in qmail-lspawn.\n"),
    );
    expect(warnings).toEqual([
      "unable to look up a recipient: bad format in users/assign: no line with a dot at the end",
    ]);
  } finally {
    rmSync(home, { recursive: true });
  }
});

test("the longest reports of many deliveries reach qmail-send, each in a frame it takes", () => {
  const out = new FrameWriter();
  const accounts = { find: async () => undefined };
  const users = new Users("/nonexistent", accounts, { uid: 1, gid: 1 });
  const lspawn = new Lspawn(users, (message) => writeQueue(out, message), throwsWarning);
  // Bytes that are no UTF-8 are three each by the time they leave again.
  for (let delivery = 0; delivery < 120; delivery++) {
    const text = `${delivery}`.padEnd(REPORT_LIMIT, "\ufffd");
    lspawn.report({ delivery, verdict: "Z", text });
  }
  lspawn.sendReports();
  const told: number[] = [];
  channelReader().push(out.take(), (frame) => {
    const message = readQueue(frame);
    if (message.type !== "reports") throw new Error(message.type);
    told.push(...message.reports.map(({ delivery }) => delivery));
  });
  expect(told).toEqual(Array.from({ length: 120 }, (_, delivery) => delivery));
});
