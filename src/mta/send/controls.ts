/** The control files of qmail-send, read once at start. qmail reference 3.1. */
import { Control } from "../../lib/control.ts";
import { TemporaryError } from "../../lib/errors.ts";
import type { RouteTables } from "../queue/work.ts";
import type { BounceControls } from "./bounce.ts";
import { readRouteTables } from "./route.ts";
import type { ChannelName } from "./schedule.ts";

export interface SendControls {
  readonly concurrency: Readonly<Record<ChannelName, number>>;
  readonly queuelifetime: number;
  readonly bounce: BounceControls;
  readonly tables: RouteTables;
}

/** TemporaryError when a file cannot be read, or neither `me` nor `locals` exists. */
export function readControls(home: string): SendControls {
  const control = new Control(home);
  if (control.line("me") === undefined && control.list("locals") === undefined) {
    throw new TemporaryError("neither control/me nor control/locals exists");
  }
  return {
    concurrency: {
      local: control.number("concurrencylocal", 10),
      remote: control.number("concurrencyremote", 20),
    },
    queuelifetime: control.number("queuelifetime", 604_800),
    bounce: {
      bouncefrom: control.line("bouncefrom") ?? "MAILER-DAEMON",
      bouncehost: control.lineOrMe("bouncehost", "bouncehost"),
      doublebounceto: control.line("doublebounceto") ?? "postmaster",
      doublebouncehost: control.lineOrMe("doublebouncehost", "doublebouncehost"),
      bouncemaxbytes: control.number("bouncemaxbytes", 0),
    },
    tables: readRouteTables(control),
  };
}

/** HUP: new locals and virtualdomains, everything else as it was. */
export function rereadTables(home: string, old: RouteTables): RouteTables {
  const { locals, virtualdomains } = readRouteTables(new Control(home));
  return { ...old, locals, virtualdomains };
}
