import { addPiece } from "../piece.mjs";

export const what = "the store of the queue alone, one thread, 1,000,000 recipients";
export const long = true;

export async function run(rig) {
  const count = rig.size(1_000_000, 20_000);
  await addPiece(
    rig.report,
    "queue.mjs",
    [count],
    [
      [`queue alone: fan-out, ${count} recipients`, "/s", /^fan-out.* ([\d,]+)\/s/m],
      [`queue alone: marks, ${count} recipients`, "/s", /^marks.* ([\d,]+)\/s/m],
      ["queue alone: longest transaction", "ms", /^longest transaction +([\d.]+)/m],
      [`claim of the next 100, ${count} queued`, "ms", /^claim.* ([\d.]+) \/ [\d.]+ ms/m],
      [`claim of the next 100, ${count} queued, worst`, "ms", /^claim.* \/ ([\d.]+) ms/m],
      [`queue on disk, ${count} recipients`, "MB", /^on disk.* ([\d.]+) MB/m],
    ],
  );
}
