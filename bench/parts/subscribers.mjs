import { addPiece } from "../piece.mjs";

export const what = "1,000,000 subscribers: add from a file, look up, list, remove";
export const long = true;

export async function run(rig) {
  const count = rig.size(1_000_000, 2000);
  const seconds = (name) => new RegExp(`${name}\\D+([\\d.]+) s`);
  await addPiece(
    rig.report,
    "subscribers.mjs",
    [count],
    [
      [`add ${count} subscribers from a file`, "s", seconds("add from a file")],
      [`look-up among ${count} subscribers`, "us", /look-up\D+([\d.]+) µs/],
      [`list ${count} subscribers`, "s", seconds("'?list")],
      [`remove ${count} subscribers from a file`, "s", seconds("remove from a file")],
    ],
  );
}
