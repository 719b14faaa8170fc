/**
 * CPU of one post through the stock editor lines, all programs in process: a list of ezmlm-make without
 * subscribers, messages of 2 KB. Needs `npm run build`. Prints milliseconds per post; `--profile DIR`
 * writes a CPU profile there. Warm: what a long-lived local worker costs, not a command. The author is of
 * the list's own domain, so that no look-up of a DMARC policy is in the figure.
 */
import { spawnSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { Session } from "node:inspector/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { freshDirectory } from "./site.mjs";

const root = new URL("..", import.meta.url).pathname.replace(/\/$/, "");
const profileAt = process.argv.indexOf("--profile");
const profileDir = profileAt > 0 ? process.argv[profileAt + 1] : undefined;
/** Best of some batches: neighbours on the machine only ever add. */
const posts = 100;
const batches = 10;

const bundle = join(root, "dist", "bench-editor.js");
await build({
  stdin: {
    contents: `export { planDelivery, runDelivery } from "./src/mta/local/delivery.ts";
      export { MaildirNames, MaildirWriter } from "./src/mta/local/maildir.ts";
      export { StoredMessage } from "./src/mta/local/stored-message.ts";
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
async function run(name, ...args) {
  const program = await mta.findProgram(name);
  const code = await program.run({ ...host, args });
  if (code !== 0) throw new Error(`${name}: ${code}`);
}
const silent = { write() {}, flush: async () => {} };
const submission = {
  full: false,
  put() {},
  from() {},
  to() {},
  drained: async () => {},
  commit: async () => ({ id: "1" }),
  abort() {},
};
const queue = { open: () => submission };
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
  await run("ezmlm-make", dir, join(home, ".qmail-list"), "list", "lists.example");
  // As root the list went to the account list mail has; here it stays with whoever measures.
  if (ids.uid === 0) spawnSync("chown", ["-hR", "0:0", dir]);
  // Files changed in the last seconds are read anew by each program; a list is not made before each post.
  await new Promise((resolve) => setTimeout(resolve, 3000));
  for (let number = 1; number <= 50; number++) await post(number);
  const session = new Session();
  session.connect();
  if (profileDir) {
    await session.post("Profiler.enable");
    await session.post("Profiler.setSamplingInterval", { interval: 200 });
    await session.post("Profiler.start");
  }
  const rows = [];
  for (let batch = 0, number = 51; batch < batches; batch++) {
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
    `editor chain, 2 KB, 0 subscribers: ${total} ms CPU per post (${ms(best.user)} user, ${ms(best.system)} system), ${(best.wall / posts).toFixed(2)} ms elapsed`,
  );
} finally {
  rmSync(home, { recursive: true, force: true });
}
