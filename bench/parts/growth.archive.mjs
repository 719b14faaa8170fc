import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { percentiles, total } from "../measure.mjs";
import { post } from "../smtp.mjs";

export const what =
  "an archive of 100 … 1,000,000 messages: one more post, ezmlm-get of one, ezmlm-idx";
export const long = true;

const letters = "abcdefghijklmnopqrst";

export async function run(rig) {
  await rig.withSink((sink) => rig.listSite((site) => measure(rig, site, sink), { sink }), {
    watch: "reader",
  });
}

async function measure(rig, site, sink) {
  const posts = [];
  const gets = [];
  const indexes = [];
  const rows = new Map();
  let answers = 0;
  for (const size of rig.sizes([100, 1000, 10_000, 100_000, 1_000_000], 100_000)) {
    const name = `a${size}`;
    site.list(name, []);
    fill(join(site.lists, name), size);
    if (process.getuid() === 0)
      spawnSync("chown", ["-R", `${site.uid}:${site.uid}`, join(site.lists, name)]);
    const count = rig.size(50, 2);
    const run = async (times) => {
      const done = site.log.occurrences("did_0+0+", times);
      for (let n = 0; n < times; n++)
        await post(site.port, "ann@elsewhere.example", `${name}@bench.test`);
      await done;
    };
    await run(rig.size(10, 1));
    const { cpu } = await site.tree.price(count, () => run(count));
    posts.push([size, total(cpu)]);
    const waits = [];
    for (let n = 1; n <= rig.size(20, 2); n++) {
      const number = Math.max(1, Math.floor((size * n) / 21));
      const { at } = await post(site.port, "reader@x.example", `${name}-get.${number}@bench.test`);
      await sink.arrived(++answers);
      waits.push(sink.arrivals.at(-1).at - at);
    }
    gets.push([size, percentiles(waits).p50]);
    const began = performance.now();
    site.command("ezmlm-idx", [join(site.lists, name)]);
    indexes.push([size, ((performance.now() - began) * 1000) / size]);
    rows.set(size, { cpu });
  }
  rig.report.curve("growth: one more post, archived already", "us", posts, (size) =>
    rows.get(size),
  );
  rig.report.table("growth: get of one message, archived", "ms", gets);
  rig.report.curve("growth: ezmlm-idx, each of so many messages", "us", indexes);
}

/** An archive in the known layout: messages, the index of each hundred, the number of the last. */
function fill(dir, size) {
  const body = "The quick brown fox jumps over the lazy dog.\n".repeat(10);
  for (let hundred = 0; hundred * 100 <= size; hundred++) {
    const folder = join(dir, "archive", String(hundred));
    mkdirSync(folder, { recursive: true });
    let index = "";
    for (let n = Math.max(1, hundred * 100); n < Math.min(size + 1, hundred * 100 + 100); n++) {
      const date = "14 Nov 2023 22:13:20 -0000";
      // A topic has ten messages, an author a thousand.
      const topic = hash(Math.floor(n / 10));
      const subject = `topic ${Math.floor(n / 10)}`;
      writeFileSync(
        join(folder, String(n % 100).padStart(2, "0")),
        `Received: (qmail 1 invoked from network); ${date}\nDate: ${date}\nFrom: "Ann ${n % 1000}" <ann${n % 1000}@x.example>\nTo: list@bench.test\nSubject: Re: ${subject}\nMessage-ID: <${n}@x.example>\n\n${body}`,
        { mode: 0o744 }, // complete: the owner's x says so
      );
      index += `${n}: ${topic} Re: ${subject}\n\t${date};${hash(n % 1000)} Ann ${n % 1000}\n`;
    }
    writeFileSync(join(folder, "index"), index);
  }
  writeFileSync(join(dir, "num"), `${size}:${size * 2}\n`);
}

const hash = (n) =>
  Array.from({ length: 20 }, (_, at) => letters[Math.floor(n / 20 ** (at % 5)) % 20]).join("");
