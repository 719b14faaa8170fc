/** What the addresses of waiting posts say: `LIST-accept-TS.PID.C20` and its like. */
import { PermanentError } from "../../lib/errors.ts";
import type { ExitStatus, Host } from "../../lib/program.ts";

export interface WaitingCommand {
  /** `accept`, `confirm` … */
  readonly word: string;
  /** `TS.PID` */
  readonly name: string;
  readonly cookie: string;
}

/** The word stands in LOCAL just before what DEFAULT holds. Undefined: no such address. */
export function parseWaitingCommand(
  host: Host,
  words: readonly string[],
): WaitingCommand | undefined {
  const { LOCAL: local, DEFAULT: rest } = host.env;
  if (local === undefined) throw new PermanentError("LOCAL is not set. (#5.3.5)");
  if (rest === undefined) throw new PermanentError("DEFAULT is not set. (#5.3.5)");
  const before = local.toLowerCase().slice(0, Math.max(0, local.length - rest.length));
  const word = words.find((each) => before.endsWith(`-${each}-`));
  const match = /^(\d{1,15}\.\d{1,15})\.([a-p]{20})/i.exec(rest);
  if (!word || !match) return undefined;
  return { word, name: match[1] as string, cookie: (match[2] as string).toLowerCase() };
}

/** Exit code of a program we ran for somebody: only a clear word counts. */
export function childCode(status: ExitStatus): number {
  if (status.signal !== undefined) return 111;
  return status.code === 0 || status.code === 100 ? status.code : 111;
}
