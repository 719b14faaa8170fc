import { verp } from "../fanout.mjs";

export const what = "one post to 100,000 subscribers, a return address of its own on each copy";
export const run = (rig) =>
  verp(rig, rig.size(100_000), rig.tiny ? 1 : 2, rig.all ? rig.size(100_000) : 0);
