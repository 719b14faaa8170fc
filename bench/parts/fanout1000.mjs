import { verp } from "../fanout.mjs";

export const what = "one post to 1,000 subscribers, a return address of its own on each copy";
export const run = (rig) => verp(rig, rig.size(1000), rig.tiny ? 1 : 5);
