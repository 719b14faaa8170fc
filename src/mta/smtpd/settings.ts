/**
 * What the control files say to the SMTP server. Read for every connection, as qmail does, but a
 * file that did not change is not read again; under load the files are looked at a few times per
 * 10 ms at most.
 */
import { statSync } from "node:fs";
import { join } from "node:path";
import { Cdb } from "../../lib/cdb.ts";
import { Control } from "../../lib/control.ts";
import { errorText, isErrno, TemporaryError } from "../../lib/errors.ts";
import type { Environment } from "../../lib/program.ts";

export interface Settings {
  /** Greeting of 220, 250 and 221; first word is the host name. */
  readonly greeting: string;
  readonly me: string | undefined;
  /** Host that stands for our own address literals; undefined = feature off. */
  readonly localIpHost: string | undefined;
  readonly timeoutSeconds: number;
  /** Undefined when control/rcpthosts is missing: then nobody may send here without RELAYCLIENT. */
  readonly rcptHosts: ReadonlySet<string> | undefined;
  readonly moreRcptHosts: Cdb | undefined;
  readonly badMailFrom: ReadonlySet<string>;
  /** 0 = no limit. */
  readonly databytes: number;
  /** Suffix for recipients of a client that may relay; undefined = it may not. */
  readonly relayClient: string | undefined;
  readonly concurrency: number;
  readonly concurrencyPerAddress: number;
  /** What tcprules says about clients of the listener. */
  readonly tcpRules: Cdb | undefined;
}

/** What a variable of the client changes; a client of tcpserver has them in its environment. */
export function settingsFor(settings: Settings, env: Environment): Settings {
  const { DATABYTES, RELAYCLIENT } = env;
  if (DATABYTES === undefined && RELAYCLIENT === undefined) return settings;
  return {
    ...settings,
    databytes: DATABYTES === undefined ? settings.databytes : leadingNumber(DATABYTES),
    relayClient: RELAYCLIENT ?? settings.relayClient,
  };
}

/** DATABYTES without leading digits is 0: no limit. */
function leadingNumber(text: string): number {
  return Number(/^\d*/.exec(text)?.[0] ?? 0);
}

const files = [
  "me",
  "smtpgreeting",
  "localiphost",
  "timeoutsmtpd",
  "rcpthosts",
  "morercpthosts.cdb",
  "badmailfrom",
  "databytes",
  "concurrencyincoming",
  "concurrencyperip",
  "tcp.smtp.cdb",
];

/**
 * In a period of REST_MS the first LOOKS connections look at the files; the others take what the
 * last look found. When the period before was that busy too, only its first connection looks.
 */
const LOOKS = 4;
const REST_MS = 10;
/** A file written this recently may change again within its time stamp. */
const FRESH_MS = 50;

export class SettingsReader {
  private readonly home: string;
  private readonly env: Environment;
  private readonly warn: (text: string) => void;
  private current: Settings | undefined;
  private stamp = "";
  private fresh = false;
  private period = 0;
  private looks = 0;
  private allowed = LOOKS;
  private newest = 0;

  constructor(home: string, env: Environment, warn: (text: string) => void) {
    this.home = home;
    this.env = env;
    this.warn = warn;
  }

  /** Throws TemporaryError when a file cannot be read, or neither `me` nor `smtpgreeting` exists. */
  read(nowMs: number): Settings {
    if (nowMs - this.period >= REST_MS || nowMs < this.period) {
      const isNext = nowMs >= this.period && nowMs - this.period < 2 * REST_MS;
      this.allowed = isNext && this.looks > LOOKS ? 1 : LOOKS;
      this.period = nowMs;
      this.looks = 0;
    }
    if (this.current && ++this.looks > this.allowed) return this.current;
    const stamp = this.look(nowMs);
    if (this.current && stamp === this.stamp && !this.fresh) return this.current;
    this.current = undefined;
    // In memory: conversations keep their settings while the file is replaced.
    this.current = loadSettings(this.home, this.env, Cdb.load);
    // Once for every change of the files, not for every connection.
    if (!this.current.rcptHosts && this.current.relayClient === undefined && stamp !== this.stamp) {
      this.warn("control/rcpthosts is missing, so every recipient is refused");
    }
    this.fresh = this.newest > nowMs - FRESH_MS;
    this.stamp = stamp;
    return this.current;
  }

  private look(nowMs: number): string {
    let stamp = "";
    this.newest = 0;
    for (const name of files) {
      const found = statSync(join(this.home, "control", name), { throwIfNoEntry: false });
      if (!found) {
        stamp += "-;";
        continue;
      }
      stamp += `${found.ino},${found.size},${found.mtimeMs},${found.ctimeMs};`;
      if (found.ctimeMs <= nowMs + 1000) this.newest = Math.max(this.newest, found.ctimeMs);
    }
    return stamp;
  }
}

/** Read everything now. `openCdb` decides whether morercpthosts.cdb is loaded or looked into. */
export function loadSettings(
  home: string,
  env: Environment,
  openCdb: (path: string) => Cdb = Cdb.open,
): Settings {
  const control = new Control(home);
  const me = control.line("me");
  const greeting = control.line("smtpgreeting") ?? me;
  if (greeting === undefined) {
    throw new TemporaryError("control/me and control/smtpgreeting are missing (#4.3.0)");
  }
  const concurrency = control.number("concurrencyincoming", 100);
  const settings: Settings = {
    greeting: printable(greeting),
    me,
    localIpHost: control.line("localiphost") ?? me,
    timeoutSeconds: Math.max(1, control.number("timeoutsmtpd", 1200)),
    rcptHosts: control.set("rcpthosts"),
    moreRcptHosts: optionalCdb(join(home, "control", "morercpthosts.cdb"), openCdb),
    badMailFrom: control.set("badmailfrom") ?? new Set<string>(),
    databytes: control.number("databytes", 0),
    relayClient: undefined,
    concurrency,
    concurrencyPerAddress: control.number("concurrencyperip", Math.max(1, concurrency >> 1)),
    tcpRules: optionalCdb(join(home, "control", "tcp.smtp.cdb"), openCdb),
  };
  return settingsFor(settings, env);
}

/** The greeting stands in replies: one line of ASCII. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?");
}

function optionalCdb(path: string, openCdb: (path: string) => Cdb): Cdb | undefined {
  try {
    return openCdb(path);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw new TemporaryError(`Unable to read ${path}: ${errorText(error)}. (#4.3.0)`, {
      cause: error,
    });
  }
}
