import { verp, verpAtMany } from "../fanout.mjs";

export const what = "one post to 100,000 subscribers, a return address of its own on each copy";

export async function run(rig) {
  const posts = rig.tiny ? 1 : 2;
  await verp(rig, rig.size(100_000), posts, rig.all ? rig.size(100_000) : 0);
  await verpAtMany(rig, rig.size(100_000), posts);
}
