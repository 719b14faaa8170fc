import { verp } from "../fanout.mjs";

export const what = "one post to 10,000 subscribers, a return address of its own on each copy";
export const run = (rig) => verp(rig, rig.size(10_000), rig.tiny ? 1 : 3);
