import { toSink } from "../fanout.mjs";
import { selfSigned } from "../smtp.mjs";

export const what = "one post to a site that offers STARTTLS";

export async function run(rig) {
  const ours = await toSink(rig, rig.size(10_000), { tls: selfSigned() });
  rig.report.add({
    figure: "fan-out with TLS",
    unit: "/s",
    ...ours,
    note: "the sink is a Node process, which takes about as much CPU",
  });
}
