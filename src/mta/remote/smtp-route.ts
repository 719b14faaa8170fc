/**
 * control/smtproutes: where mail for a host goes instead of to its MX. Lookup keys are the host,
 * every `.suffix` (longest first), then the empty key; the first hit decides, an empty relay means
 * the ordinary MX. qmail reference 3.2.
 */
import { isIP } from "node:net";
import { domainKeys } from "../../lib/control.ts";

export const SMTP_PORT = 25;

export interface Credentials {
  readonly user: string;
  readonly password: string;
}

export interface SmtpRoute {
  /** Host name or address without brackets. */
  readonly relay: string;
  /** 0 when the file says something that is no port: a configuration error. */
  readonly port: number;
  readonly credentials?: Credentials;
}

/** Take `relay`, `relay:port`, `[address]:port` and an appended `|user|password` apart. */
export function parseRoute(value: string): SmtpRoute | undefined {
  const [where = "", user, ...rest] = value.split("|");
  const match = /^\[([^\]]*)\](?::(.*))?$/.exec(where) ?? splitPort(where);
  const relay = (match[1] ?? "").replace(/^IPv6:/i, "");
  if (relay === "") return undefined;
  const port = match[2] === undefined ? SMTP_PORT : portNumber(match[2]);
  return {
    relay,
    port,
    ...(user === undefined ? {} : { credentials: { user, password: rest.join("|") } }),
  };
}

/** A bare IPv6 address has more than one colon and no port. */
function splitPort(where: string): (string | undefined)[] {
  if (isIP(where) === 6) return [where, where];
  const colon = where.indexOf(":");
  if (colon < 0) return [where, where];
  return [where, where.slice(0, colon), where.slice(colon + 1)];
}

function portNumber(text: string): number {
  const port = /^\d+$/.test(text) ? Number(text) : 0;
  return port <= 65535 ? port : 0;
}

/** The route for a host, or undefined for its MX. */
export function findRoute(
  routes: ReadonlyMap<string, string> | undefined,
  host: string,
): SmtpRoute | undefined {
  if (!routes) return undefined;
  for (const key of [...domainKeys(host), ""]) {
    const value = routes.get(key);
    if (value !== undefined) return parseRoute(value);
  }
  return undefined;
}

/** `[1.2.3.4]`, `[IPv6:::1]`, `[::1]` or a bare dotted address: the address; undefined for a name. */
export function addressLiteral(host: string): string | undefined {
  const inner = /^\[(?:IPv6:)?([^\]]+)\]$/i.exec(host)?.[1];
  if (inner !== undefined) return isIP(inner) > 0 ? inner : undefined;
  return isIP(host) > 0 ? host : undefined;
}
