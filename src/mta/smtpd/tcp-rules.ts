/**
 * Rules of tcprules for the listener, which stands in for tcpserver: control/tcp.smtp.cdb says by
 * address who is denied and which variables a client gets (RELAYCLIENT, DATABYTES, QMAILQUEUE …).
 * The listener looks up no names, so rules by host or ident never match. Companion of ucspi-tcp;
 * record: `D` NUL when denied, `+NAME=VALUE` NUL for each variable.
 */
import type { Cdb } from "../../lib/cdb.ts";

export interface TcpRule {
  readonly isDenied: boolean;
  readonly env: Readonly<Record<string, string>>;
}

const allowed: TcpRule = { isDenied: false, env: {} };

/** First hit of: the address, the address cut at dots (longest first, dot kept), the empty key. */
export function findTcpRule(rules: Cdb | undefined, ip: string): TcpRule {
  if (!rules) return allowed;
  for (const key of ruleKeys(ip)) {
    const data = rules.get(key);
    if (data) return parseRule(data.toString("utf8"));
  }
  return allowed;
}

function ruleKeys(ip: string): string[] {
  const keys = [ip];
  for (let dot = ip.lastIndexOf("."); dot > 0; dot = ip.lastIndexOf(".", dot - 1)) {
    keys.push(ip.slice(0, dot + 1));
  }
  keys.push("");
  return keys;
}

function parseRule(data: string): TcpRule {
  let isDenied = false;
  const env: Record<string, string> = {};
  for (const word of data.split("\0")) {
    if (word === "D") isDenied = true;
    const assignment = /^\+([^=]+)=(.*)$/s.exec(word);
    if (assignment?.[1]) env[assignment[1]] = assignment[2] ?? "";
  }
  return { isDenied, env };
}
