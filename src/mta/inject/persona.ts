/**
 * Who injects: user, host, name, envelope sender and the default domains, from environment and control
 * files. qmail reference 5.5.
 */
import { Control } from "../../lib/control.ts";
import { unixSeconds } from "../../lib/date822.ts";
import type { Environment, Host } from "../../lib/program.ts";
import { argumentAddress, toBytes } from "./address-argument.ts";
import type { Domains } from "./rewrite-address.ts";
import { addressFrom, special, type Token } from "./token.ts";

/** Letters of QMAILINJECT. */
export interface Hacks {
  /** Comment-style From. */
  readonly c: boolean;
  /** Ignore Return-Path. */
  readonly s: boolean;
  /** Delete From. */
  readonly f: boolean;
  /** Delete Message-ID. */
  readonly i: boolean;
  /** Sender per recipient. */
  readonly r: boolean;
  /** Sender per message. */
  readonly m: boolean;
}

export interface Persona {
  readonly domains: Domains;
  /** Right side of a generated Message-ID. */
  readonly idHost: string;
  readonly hacks: Hacks;
  /** For the From field. */
  from(): Token[];
  /** Of the envelope, when neither option nor Return-Path names one. */
  sender(): string;
}

function firstOf(env: Environment, ...names: string[]): string | undefined {
  return names.map((name) => env[name]).find((value) => value !== undefined && value !== "");
}

export function persona(host: Host): Persona {
  const { env } = host;
  const control = new Control(host.home);
  const setting = (name: string, variable: string): string =>
    env[variable] ?? control.lineOrMe(name, name);
  const domains: Domains = {
    defaultHost: setting("defaulthost", "QMAILDEFAULTHOST"),
    defaultDomain: setting("defaultdomain", "QMAILDEFAULTDOMAIN"),
    plusDomain: setting("plusdomain", "QMAILPLUSDOMAIN"),
  };
  const letters = env.QMAILINJECT ?? "";
  const has = (letter: string): boolean => letters.includes(letter);
  const hacks = { c: has("c"), s: has("s"), f: has("f"), i: has("i"), r: has("r"), m: has("m") };
  const user = firstOf(env, "QMAILUSER", "MAILUSER", "USER", "LOGNAME") ?? "anonymous";
  const at = firstOf(env, "QMAILHOST", "MAILHOST") ?? domains.defaultHost;
  const name = firstOf(env, "QMAILNAME", "MAILNAME", "NAME");
  return {
    domains,
    idHost: setting("idhost", "QMAILIDHOST"),
    hacks,
    from() {
      const address = argumentAddress(`${user}@${at}`, domains);
      if (name === undefined) return address;
      const text = toBytes(name);
      if (hacks.c) return [...address, { type: "comment", text }];
      return [{ type: "quoted", text }, special("<"), ...address, special(">")];
    },
    sender() {
      const message = hacks.m ? `-${unixSeconds(host.now())}.${host.pid}` : "";
      const local = `${env.QMAILSUSER ?? user}${message}${hacks.r ? "-" : ""}`;
      const tokens = argumentAddress(`${local}@${env.QMAILSHOST ?? at}`, domains);
      return addressFrom(tokens) + (hacks.r ? "-@[]" : "");
    },
  };
}
