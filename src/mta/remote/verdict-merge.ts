/**
 * What the output of a qmail-remote program means for its one recipient: NUL-terminated records `r`,
 * `h`, `s` for the recipient and `K`, `Z`, `D` for the message. A last record without its NUL counts
 * as terminated. qmail reference 2, qmail-rspawn.
 */

export interface MergedVerdict {
  readonly verdict: "K" | "Z" | "D";
  readonly text: string;
}

export interface RemoteEnd {
  readonly code: number | null;
  readonly signal: string | null;
  readonly output: Buffer;
}

const rank: Readonly<Record<string, number>> = { K: 1, Z: 0, D: -1 };

export function mergeVerdict({ code, signal, output }: RemoteEnd): MergedVerdict {
  if (signal !== null) return { verdict: "Z", text: "qmail-remote crashed.\n" };
  if (code === 111) return { verdict: "Z", text: "Unable to run qmail-remote.\n" };
  if (code !== 0) return { verdict: "D", text: "Unable to run qmail-remote.\n" };
  if (output.length === 0) return { verdict: "Z", text: "qmail-remote produced no output.\n" };
  const records = output.toString("utf8").split("\0");
  if (records[records.length - 1] === "") records.pop();
  const [first = "", second = ""] = records;
  const deciding = records.find((record) => rank[record[0] ?? ""] !== undefined);
  const message = rank[deciding?.[0] ?? ""] ?? -1;
  const overall = first[0] === "s" ? 0 : first[0] === "h" ? -1 : message;
  const more = message <= overall && rank[second[0] ?? ""] !== undefined ? second.slice(1) : "";
  return {
    verdict: overall > 0 ? "K" : overall === 0 ? "Z" : "D",
    text: first.slice(1) + more,
  };
}
