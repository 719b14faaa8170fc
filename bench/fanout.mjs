/** One message to many: how fast all have it, and what that costs. Ours is a post to a list. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { total } from "./measure.mjs";
import { sent } from "./postfix.mjs";
import { members, taken } from "./site.mjs";
import { clock, mailText, post, Sender } from "./smtp.mjs";

export const author = "ann@elsewhere.example";

/** `send` hands one message in and resolves with the time of its 250; done when the log has `count` of `text`. */
export async function spread(server, text, count, send) {
  const done = server.log.occurrences(text, count);
  // The last marks are still on their way when the last copy is taken; they belong to the price.
  const { cpu, memory, result } = await server.tree.price(
    count,
    async () => {
      const accepted = await send();
      return { accepted, ...(await done) };
    },
    300,
  );
  const seconds = (result.last - result.accepted) / 1000;
  return { value: count / seconds, seconds, firstMs: result.first - result.accepted, cpu, memory };
}

/** The fastest, with the CPU of the cheapest: neighbours on the machine only ever add. */
export function best(runs) {
  const fastest = runs.reduce((one, other) => (other.value > one.value ? other : one));
  const cpu = runs
    .map((run) => run.cpu)
    .reduce((one, other) => (total(other) < total(one) ? other : one));
  return { ...fastest, cpu };
}

/** One post to that list and what became of it. */
export const spreadPost = (site, count, list = "big") =>
  spread(site, taken, count, async () => (await post(site.port, author, `${list}@bench.test`)).at);

/** A message with these recipients in one transaction. */
async function submit(port, sender, recipients, parameters) {
  const connection = await new Sender(port).open();
  try {
    const text = mailText(sender, "list@bench.test");
    return (await connection.send(sender, recipients, text, parameters)).at;
  } finally {
    connection.close();
  }
}

/** qmail-remote processes at once of the fastest notqmail that was published. */
const MANY = 255;

/** Rows for a VERP post to so many; the best of `posts` after the first. No peer when that has 0 subscribers. */
export async function verp(rig, subscribers, posts, peerSubscribers = subscribers) {
  const peer =
    peerSubscribers &&
    (await rig.withSink((sink) =>
      rig.postfix({ relayhost: `[127.0.0.1]:${sink.port}` }, async (postfix) => {
        const people = members(peerSubscribers);
        const sender = "big-return-1@bench.test";
        const send = (to) => () => submit(postfix.port, sender, to, " XVERP=-=");
        const few = people.slice(0, 500);
        await spread(postfix, sent, few.length, send(few));
        // As many tries as ours has, or its best would stand beside an average.
        const runs = [];
        for (let n = 0; n < posts; n++)
          runs.push(await spread(postfix, sent, people.length, send(people)));
        return best(runs);
      }),
    ));
  await rig.listSite(async (site) => {
    const name = `${subscribers} subscribers`;
    const addedMs = site.list("big", members(subscribers));
    if (subscribers >= 100_000)
      rig.report.add({
        figure: `ezmlm-sub, ${subscribers} from a file`,
        value: addedMs,
        unit: "ms",
      });
    // The first big post finds code that never ran; a server that has been up for a while does as the next ones.
    const cold = await spreadPost(site, subscribers);
    rig.report.add({
      figure: `fan-out with VERP, first post after start, ${name}`,
      value: cold.value,
      unit: "/s",
    });
    const runs = [];
    for (let n = 0; n < posts; n++) runs.push(await spreadPost(site, subscribers));
    const { value, cpu, memory, seconds } = best(runs);
    rig.report.add({
      figure: `fan-out with VERP, ${name}`,
      value,
      unit: "/s",
      cpu,
      memory,
      peers: peer && { Postfix: peer },
      note: `best of ${posts}: ${seconds.toFixed(2)} s`,
    });
    rig.report.add({
      figure: `fan-out with VERP, CPU of each, ${name}`,
      value: total(cpu),
      unit: "us",
      peers: peer && { Postfix: { value: total(peer.cpu) } },
    });
  });
}

/** The same with control/concurrencyremote of 255 instead of 20. */
export async function verpAtMany(rig, subscribers, posts) {
  const control = { concurrencyremote: String(MANY) };
  const work = async (site) => {
    site.list("big", members(subscribers));
    const runs = [];
    for (let n = 0; n <= posts; n++) runs.push(await spreadPost(site, subscribers));
    const { value, cpu, memory } = best(runs.slice(1));
    const figure = `fan-out with VERP, ${subscribers} subscribers, concurrency ${MANY}`;
    rig.report.add({ figure, value, unit: "/s", cpu, memory });
  };
  await rig.listSite(work, { control });
}

/** One message without VERP to so many, 50 recipients in a transaction, handed in with one SMTP transaction. */
export async function plain(rig, recipients) {
  const people = members(recipients);
  const send = (server) => () => submit(server.port, author, people);
  const measure = (text) => async (server) => {
    const runs = [];
    for (let n = 0; n < 4; n++) runs.push(await spread(server, text, people.length, send(server)));
    return best(runs.slice(1)); // the first warms up
  };
  const peer = await rig.withSink((sink) =>
    rig.postfix({ relayhost: `[127.0.0.1]:${sink.port}` }, measure(sent)),
  );
  const ours = await rig.withSink((sink) =>
    rig.site(
      {
        smtproutes: `:127.0.0.1:${sink.port}`,
        rcpthosts: members(500)
          .map((address) => address.split("@")[1])
          .join("\n"),
      },
      measure(taken),
    ),
  );
  return { ours, peer };
}

/** The same with the command: more recipients than one SMTP transaction may have. */
export const plainFromCommand = (rig, recipients) =>
  rig.withSink((sink) =>
    rig.site({ smtproutes: `:127.0.0.1:${sink.port}` }, async (site) => {
      const send = async () => {
        site.queue(author, members(recipients), mailText(author, "list@bench.test"));
        return clock();
      };
      const runs = [];
      for (let n = 0; n < 3; n++) runs.push(await spread(site, taken, recipients, send));
      return best(runs.slice(1));
    }),
  );

/** A post to subscribers behind a sink with these options; `files` are put into the list. */
export async function toSink(rig, subscribers, options, files = {}) {
  return rig.withSink(
    (sink) =>
      rig.listSite(
        async (site) => {
          site.list("big", members(subscribers));
          for (const [name, text] of Object.entries(files))
            writeFileSync(join(site.lists, "big", name), text);
          const runs = [];
          for (let n = 0; n < 4; n++) runs.push(await spreadPost(site, subscribers));
          return best(runs.slice(1));
        },
        { sink },
      ),
    options,
  );
}
