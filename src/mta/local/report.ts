/**
 * Reports of local deliveries: exit code and output of qmail-local to a letter and a text. The table
 * is the one of qmail-lspawn; its own troubles have codes of their own. qmail reference 2.3.
 */
import type { ExitCode } from "../../lib/exit-code.ts";
import type { Report, Verdict } from "../channel/protocol.ts";

/** Most output kept of one delivery, bytes. */
export const OUTPUT_LIMIT = 3000;

/** Why a delivery did not come as far as qmail-local. */
export const LSPAWN_BUG = 112;
export const NOT_AS_ROOT = 113;
export const HOME_UNREACHABLE = 115;
export const NO_ALIAS_USER = 116;
export const USERS_UNREADABLE = 117;
export const LSPAWN_TROUBLE = 118;
export const CANNOT_RUN = 120;
export const CANNOT_LOOK_UP = 121;
/** A worker that died under a delivery. */
export const CRASHED = -1;

const texts: Readonly<Record<number, string>> = {
  [LSPAWN_BUG]: "ZInternal qmail-lspawn bug.",
  [NOT_AS_ROOT]: "ZNot allowed to perform deliveries as root.",
  [HOME_UNREACHABLE]: "ZNFS failure in qmail-local.",
  [NO_ALIAS_USER]: "ZUnable to find alias user!",
  [USERS_UNREADABLE]: "ZTrouble reading users/cdb in qmail-lspawn.",
  [LSPAWN_TROUBLE]: "ZTemporary failure in qmail-lspawn.",
  [CANNOT_RUN]: "ZUnable to run qmail-local.",
  [CANNOT_LOOK_UP]: "ZUnable to run qmail-getpw.",
  [CRASHED]: "Zqmail-local crashed.",
};

const temporary = new Set([111, 71, 74, 75]);

export function localReport(delivery: number, code: ExitCode, output?: Buffer): Report {
  const known = texts[code];
  if (known !== undefined) {
    return { delivery, verdict: "Z", text: `${known.slice(1)}\n` };
  }
  const verdict: Verdict = code === 0 ? "K" : temporary.has(code) ? "Z" : "D";
  return { delivery, verdict, text: reportText(output ?? Buffer.alloc(0)) };
}

/** Cut at the first NUL, and at the limit. */
export function reportText(output: Buffer): string {
  const nul = output.indexOf(0);
  const text = nul < 0 ? output : output.subarray(0, nul);
  if (text.length <= OUTPUT_LIMIT) return text.toString("utf8");
  return `${text.toString("utf8", 0, OUTPUT_LIMIT)}Error report too long, sorry.\n`;
}
