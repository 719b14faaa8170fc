import { toSink } from "../fanout.mjs";

export const what = "one post to a site that closes after each message";

export async function run(rig) {
  const ours = await toSink(rig, rig.size(5000), { closeAfter: 1 });
  rig.report.add({
    figure: "fan-out, a connection for each",
    unit: "/s",
    ...ours,
    note: "the sink is a Node process, which takes about as much CPU",
  });
}
