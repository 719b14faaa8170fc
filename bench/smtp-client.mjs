/**
 * The SMTP client engine alone, against smtp-sink: deliveries per second and CPU time of each.
 *
 *   node bench/smtp-client.mjs [--deliveries 300000] [--warm-up 20000] [--size 2048] [--slots 20]
 *                              [--slot 200] [--port N] [--to ADDRESS]
 *
 * With --port a server that runs already is used; otherwise smtp-sink is taken from PATH, or from
 * POSTFIX_BIN, and started for the run. With --to every message goes to that address, each in a
 * transaction of its own.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { build } from "esbuild";
import { startSink } from "./smtp.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const { values } = parseArgs({
  options: {
    deliveries: { type: "string", default: "300000" },
    "warm-up": { type: "string", default: "20000" },
    size: { type: "string", default: "2048" },
    slots: { type: "string", default: "20" },
    slot: { type: "string", default: "200" },
    port: { type: "string" },
    to: { type: "string" },
  },
});
const deliveries = Number(values.deliveries);
const slotSize = Number(values.slot);

const scratch = mkdtempSync(join(tmpdir(), "bench-"));

/** Bundle what the bench drives; the sources are TypeScript. */
async function load(path) {
  const outfile = join(scratch, `${path.replaceAll("/", "-")}.mjs`);
  await build({
    entryPoints: [join(root, path)],
    outfile,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20",
    logLevel: "error",
  });
  return import(pathToFileURL(outfile).href);
}

const sink = values.port ? { port: Number(values.port), stop() {} } : await startSink();
try {
  const { Engine, engineLimits } = await load("src/mta/remote/engine.ts");
  const { TimeoutFile } = await load("src/mta/remote/tcpto.ts");
  const { memoryBody } = await load("src/mta/remote/wire-body.ts");

  const controls = {
    heloHost: "bench.example",
    routes: new Map([["", `127.0.0.1:${sink.port}`]]),
    connectSeconds: 10,
    replySeconds: 60,
  };
  const engine = new Engine({
    controls: () => controls,
    resolver: {},
    isOwn: () => false,
    timeouts: new TimeoutFile(join(scratch, "tcpto"), 0),
    limits: { ...engineLimits, mostConnections: Number(values.slots) },
    now: Date.now,
    random: Math.random,
  });
  const header = "From: list@bench.example\nTo: list@bench.example\nSubject: a post\n\n";
  const lines = "The quick brown fox jumps over the lazy dog, again and again.\n";
  const message = header + lines.repeat(Math.ceil(Number(values.size) / lines.length));
  const body = memoryBody(Buffer.from(message.slice(0, Number(values.size))));

  const run = (total) =>
    new Promise((resolve) => {
      let given = 0;
      let settled = 0;
      let failures = 0;
      const next = () => {
        const count = Math.min(slotSize, total - given);
        if (count <= 0) return;
        const list = [];
        for (let at = 0; at < count; at++) {
          const address = values.to ?? `subscriber${given + at}@example.net`;
          list.push({ original: address, routed: address, tag: given + at });
        }
        given += count;
        let left = count;
        engine.deliver(
          {
            sites: [{ host: "example.net", deliveries: list }],
            sender: "list-return-17-@bench.example-@[]",
            verp: true,
            body,
          },
          (_tag, outcome) => {
            if (outcome.verdict !== "K") failures++;
            settled++;
            if (--left === 0) next();
            if (settled === total) resolve(failures);
          },
        );
      };
      for (let at = 0; at < Number(values.slots); at++) next();
    });

  await run(Number(values["warm-up"]));
  const cpu = process.cpuUsage();
  const started = process.hrtime.bigint();
  const failures = await run(deliveries);
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  const used = process.cpuUsage(cpu);
  engine.close();
  const each = (used.user + used.system) / deliveries;
  console.log(
    `${Math.round(deliveries / seconds)} deliveries/s, ${each.toFixed(1)} µs CPU each ` +
      `(${deliveries} of ${values.size} bytes, ${failures} failed, ${seconds.toFixed(2)} s)`,
  );
} finally {
  sink.stop();
  rmSync(scratch, { recursive: true });
}
