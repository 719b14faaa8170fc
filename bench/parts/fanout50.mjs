import { plain, plainFromCommand } from "../fanout.mjs";

export const what = "one message to 10,000 and 100,000 without VERP: recipients share transactions";

export async function run(rig) {
  const { ours, peer } = await plain(rig, rig.size(10_000));
  rig.report.add({
    figure: `fan-out without VERP, ${rig.size(10_000)} recipients`,
    unit: "/s",
    ...ours,
    peers: peer && { Postfix: peer },
    note: `${ours.seconds.toFixed(2)} s from the 250 to the last recipient`,
  });
  const many = await plainFromCommand(rig, rig.size(100_000));
  rig.report.add({
    figure: `fan-out without VERP, ${rig.size(100_000)} recipients`,
    unit: "/s",
    ...many,
  });
}
