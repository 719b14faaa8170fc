/**
 * CPU of one post through the stock editor lines, all programs in process: a list of ezmlm-make without
 * subscribers, or with `--subscribers N`; messages of 2 KB. Recipients go through the queue's own client
 * up to its frames, to nobody. Needs `npm run build`. Prints milliseconds per post; `--profile DIR`
 * writes a CPU profile there. Warm: what a long-lived local worker costs, not a command. The author is of
 * the list's own domain, so that no look-up of a DMARC policy is in the figure.
 */
import { spawnSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { Session } from "node:inspector/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { build } from "esbuild";
import { freshDirectory } from "./site.mjs";

const root = new URL("..", import.meta.url).pathname.replace(/\/$/, "");
const { values: options } = parseArgs({
  options: { profile: { type: "string" }, subscribers: { type: "string", default: "0" } },
});
const profileDir = options.profile;
const subscribers = Number(options.subscribers);
/** Best of some batches: neighbours on the machine only ever add. */
const batches = 10;
const posts = Math.max(1, Math.min(100, Math.floor(500_000 / Math.max(1, subscribers))));

const bundle = join(root, "dist", "bench-editor.js");
await build({
  stdin: {
    contents: `export { planDelivery, runDelivery } from "./src/mta/local/delivery.ts";
      export { MaildirWriter } from "./src/mta/local/maildir.ts";
      export { MaildirNames } from "./src/mta/local/maildir-names.ts";
      export { StoredMessage } from "./src/mta/local/stored-message.ts";
      export { QueueSubmission, costOf } from "./src/mta/channel/queue-submission.ts";
      export { writeQueue } from "./src/mta/channel/queue-messages.ts";
      export { FrameWriter } from "./src/lib/frame.ts";
      export { findProgram } from "./src/programs.ts";`,
    resolveDir: root,
    loader: "ts",
  },
  bundle: true,
  outfile: bundle,
  format: "esm",
  platform: "node",
  packages: "external",
});
const mta = await import(pathToFileURL(bundle).href);

const home = freshDirectory("editor-");
const dir = join(home, "list");
async function run(name, more, ...args) {
  const program = await mta.findProgram(name);
  const code = await program.run({ ...host, ...more, args });
  if (code !== 0) throw new Error(`${name}: ${code}`);
}
const silent = { write() {}, flush: async () => {} };
/** The client end of the queue: everything up to the frames, and credit as fast as it can come. */
function openSubmission() {
  const frames = new mta.FrameWriter();
  const carrier = {
    congested: false,
    admit: () => true,
    forget() {},
    drained: async () => {},
    send(message) {
      mta.writeQueue(frames, message);
      if (frames.sizeBytes > 262144) frames.take();
      const cost = mta.costOf(message);
      if (message.type === "commit") setImmediate(() => submission.accepted(1));
      else if (cost > 0) setImmediate(() => submission.credit(cost));
    },
  };
  const submission = new mta.QueueSubmission(carrier, 1, { key: "", urgency: "bulk", prefix: "" });
  return submission;
}
const queue = { carriesPrefix: true, open: openSubmission };
const ids = { uid: process.getuid(), gid: process.getgid(), pid: process.pid };
const site = {
  ...ids,
  findProgram: mta.findProgram,
  queue,
  home,
  root,
  now: () => new Date(),
  env: { PATH: "/usr/bin:/bin" },
  maildirs: new mta.MaildirWriter(new mta.MaildirNames(process.pid, "bench"), () => new Date()),
};
const host = {
  ...ids,
  env: {},
  cwd: home,
  home,
  root,
  stdin: mta.StoredMessage.of(Buffer.alloc(0), tmpdir()),
  stdout: silent,
  stderr: process.stderr,
  queue,
  signal: new AbortController().signal,
  now: () => new Date(),
};

function message(number) {
  const text = "The quick brown fox jumps over the lazy dog, line after line.\n".repeat(30);
  return Buffer.from(
    `Received: (qmail 1 invoked from network); 14 Nov 2023 22:13:20 -0000\nDate: Tue, 14 Nov 2023 22:13:18 +0000\nFrom: "Joe User" <joe@lists.example>\nTo: list@lists.example\nSubject: Re: topic ${number}\nMessage-ID: <${number}@example.com>\n\n${text}`,
  );
}

async function post(number) {
  const output = [];
  const report = { write: (text) => output.push(String(text)), flush: async () => {} };
  const address = {
    user: "bench",
    home,
    local: "list",
    dash: "-",
    ext: "list",
    domain: "lists.example",
    sender: "joe@lists.example",
  };
  const code = await mta.runDelivery(mta.planDelivery(address, "./Mailbox"), {
    site,
    message: mta.StoredMessage.of(message(number), tmpdir()),
    output: report,
    errors: report,
    signal: host.signal,
    deliveryKey: `${number}.1`,
    dryRun: false,
  });
  if (code !== 0) throw new Error(`post: ${code} ${output.join("")}`);
}

try {
  await run("ezmlm-make", {}, dir, join(home, ".qmail-list"), "list", "lists.example");
  // As root the list went to the account list mail has; here it stays with whoever measures.
  if (ids.uid === 0) spawnSync("chown", ["-hR", "0:0", dir]);
  if (subscribers > 0) {
    const people = Array.from(
      { length: subscribers },
      (_, i) => `user${(i * 7919) % 1_000_003}.name@host${i % 5000}.example.org\n`,
    );
    await run(
      "ezmlm-sub",
      { stdin: mta.StoredMessage.of(Buffer.from(people.join("")), tmpdir()) },
      dir,
    );
  }
  // Files changed in the last seconds are read anew by each program; a list is not made before each post.
  await new Promise((resolve) => setTimeout(resolve, 3000));
  const warm = Math.min(50, posts * 3);
  for (let number = 1; number <= warm; number++) await post(number);
  const session = new Session();
  session.connect();
  if (profileDir) {
    await session.post("Profiler.enable");
    await session.post("Profiler.setSamplingInterval", { interval: 200 });
    await session.post("Profiler.start");
  }
  const rows = [];
  for (let batch = 0, number = warm + 1; batch < batches; batch++) {
    const cpu = process.cpuUsage();
    const start = performance.now();
    for (const end = number + posts; number < end; number++) await post(number);
    const { user, system } = process.cpuUsage(cpu);
    rows.push({ user, system, wall: performance.now() - start });
  }
  const [best] = rows.sort((a, b) => a.user + a.system - b.user - b.system);
  if (profileDir) {
    const { profile } = await session.post("Profiler.stop");
    writeFileSync(join(profileDir, "editor.cpuprofile"), JSON.stringify(profile));
  }
  const ms = (micro) => (micro / 1000 / posts).toFixed(2);
  const total = ms(best.user + best.system);
  console.log(
    `editor chain, 2 KB, ${subscribers} subscribers: ${total} ms CPU per post (${ms(best.user)} user, ${ms(best.system)} system), ${(best.wall / posts).toFixed(2)} ms elapsed`,
  );
} finally {
  rmSync(home, { recursive: true, force: true });
}
