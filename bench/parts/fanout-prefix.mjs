import { toSink } from "../fanout.mjs";

export const what = "one post whose copies have header fields of their own (an unsubscribe link)";

export async function run(rig) {
  const files = { unsubscribelink: "https://lists.bench.test/u/\n" };
  const ours = await toSink(rig, rig.size(10_000), undefined, files);
  rig.report.add({ figure: "fan-out with fields of each copy", unit: "/s", ...ours });
}
