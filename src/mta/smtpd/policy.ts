/** Who may send what to whom: badmailfrom, rcpthosts, relay permission. qmail reference 3.2. */
import { networkInterfaces } from "node:os";
import { asciiLower } from "../../lib/address.ts";
import { domainKeys } from "../../lib/control.ts";
import type { LocalIpHost } from "./argument.ts";
import type { Settings } from "./settings.ts";

/** Whether badmailfrom names this sender or its domain. The null sender is never named. */
export function isBadSender(settings: Settings, sender: string): boolean {
  if (settings.badMailFrom.size === 0 || sender === "") return false;
  const lower = asciiLower(sender);
  if (settings.badMailFrom.has(lower)) return true;
  const at = lower.lastIndexOf("@");
  return at >= 0 && settings.badMailFrom.has(lower.slice(at));
}

/**
 * Whether mail for `recipient` may come in. Throws when morercpthosts.cdb cannot be read. Without
 * rcpthosts nothing may: a forgotten file must not make an open relay.
 */
export function isAllowedRecipient(settings: Settings, recipient: string): boolean {
  if (!settings.rcptHosts) return false;
  const at = recipient.lastIndexOf("@");
  if (at < 0) return true;
  const keys = domainKeys(recipient.slice(at + 1));
  if (keys.some((key) => settings.rcptHosts?.has(key))) return true;
  return keys.some((key) => settings.moreRcptHosts?.get(key) !== undefined);
}

/** Addresses of our interfaces may change while we run; listing them is not free. */
const ADDRESSES_MS = 10_000;

/** The localiphost feature with the addresses of this machine. */
export class LocalAddresses {
  private known = new Set<string>();
  private readAtMs = Number.NEGATIVE_INFINITY;
  private readonly nowMs: () => number;

  constructor(nowMs: () => number) {
    this.nowMs = nowMs;
  }

  has(ip: string): boolean {
    const nowMs = this.nowMs();
    if (nowMs - this.readAtMs > ADDRESSES_MS || nowMs < this.readAtMs) {
      const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
      this.known = new Set(all.map((entry) => entry.address));
      this.readAtMs = nowMs;
    }
    const plain = ip.split(".").map(Number).join(".");
    return plain === "0.0.0.0" || this.known.has(plain);
  }

  /** For the address parser; undefined when the feature is off. */
  hostFor(settings: Settings): LocalIpHost | undefined {
    const host = settings.localIpHost;
    return host === undefined ? undefined : { host, isLocalIp: (ip) => this.has(ip) };
  }
}
