import { addPiece } from "../piece.mjs";

export const what = "the remote engine alone against smtp-sink";
export const long = true;

export const run = (rig) =>
  addPiece(
    rig.report,
    "smtp-client.mjs",
    ["--deliveries", rig.size(200_000, 500)],
    [
      ["remote engine alone", "/s", /^(\d+) deliveries\/s/m],
      ["remote engine alone, CPU of each", "us", /([\d.]+) µs CPU/],
    ],
  );
