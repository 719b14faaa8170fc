import { addPiece } from "../piece.mjs";

export const what = "qmail-lspawn and one local worker alone, into a Maildir";
export const long = true;

export const run = (rig) =>
  addPiece(
    rig.report,
    "maildir.mjs",
    ["--deliveries", rig.size(10_000, 200)],
    [
      ["Maildir alone, one worker", "/s", /^(\d+) Maildir deliveries\/s/m],
      ["Maildir alone, CPU of each in the worker", "us", /worker (\d+),/],
    ],
  );
