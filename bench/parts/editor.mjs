import { addPiece } from "../piece.mjs";

export const what = "all programs of one post in process, no subscribers";

export const run = ({ report }) =>
  addPiece(
    report,
    "editor.mjs",
    [],
    [
      ["editor chain of a post, no subscribers, CPU", "ms", /: ([\d.]+) ms CPU per post/],
      ["editor chain of a post, no subscribers, elapsed", "ms", /([\d.]+) ms elapsed/],
    ],
  );
