/** What qmail-lspawn says to qmail-send, whatever workers say to it. */
import { expect, test } from "vitest";
import { FrameWriter } from "../../../src/lib/frame.ts";
import { channelReader, REPORT_LIMIT } from "../../../src/mta/channel/protocol.ts";
import { readQueue, writeQueue } from "../../../src/mta/channel/queue-messages.ts";
import { Lspawn } from "../../../src/mta/local/lspawn.ts";
import { Users } from "../../../src/mta/local/users.ts";

test("the longest reports of many deliveries reach qmail-send, each in a frame it takes", () => {
  const out = new FrameWriter();
  const accounts = { find: async () => undefined };
  const users = new Users("/nonexistent", accounts, { uid: 1, gid: 1 });
  const lspawn = new Lspawn(users, (message) => writeQueue(out, message));
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
