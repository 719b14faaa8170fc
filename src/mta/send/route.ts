/**
 * Where a recipient goes: the rewriting rules of qmail-send and the site its delivery is scheduled
 * under. Pure; the answer per domain is remembered, because a list has few domains.
 * qmail reference 1.7, 3.2.
 */
import { asciiLower } from "../../lib/address.ts";
import { type Control, domainKeys } from "../../lib/control.ts";
import type { RouteTables } from "../queue/work.ts";

export interface Route {
  readonly channel: "local" | "remote";
  /** The address to deliver to, virtual prepend included. */
  readonly routed: string;
  /** `R` and the domain or relay, `L` and the address group of a user: what is scheduled together. */
  readonly site: string;
}

/** What a domain alone decides. */
interface DomainRoute {
  readonly channel: "local" | "remote";
  readonly prepend: string;
  readonly site: string;
}

const REMEMBERED_DOMAINS = 50_000;

export class Router {
  private readonly envnoathost: string;
  private readonly locals: ReadonlySet<string>;
  private readonly percenthack: ReadonlySet<string>;
  private readonly virtualdomains: ReadonlyMap<string, string>;
  private readonly smtproutes: ReadonlyMap<string, string>;
  private readonly hasVirtualUsers: boolean;
  private readonly remembered = new Map<string, DomainRoute>();

  constructor(tables: RouteTables) {
    this.envnoathost = tables.envnoathost;
    this.locals = new Set(tables.locals);
    this.percenthack = new Set(tables.percenthack);
    this.virtualdomains = new Map(tables.virtualdomains);
    this.smtproutes = new Map(tables.smtproutes);
    this.hasVirtualUsers = tables.virtualdomains.some(([key]) => key.includes("@"));
  }

  route(recipient: string): Route {
    let address = recipient.includes("@") ? recipient : `${recipient}@${this.envnoathost}`;
    let at = address.lastIndexOf("@");
    // One `%` becomes the `@` per turn, so this ends.
    while (this.percenthack.size > 0 && this.percenthack.has(asciiLower(address.slice(at + 1)))) {
      const percent = address.lastIndexOf("%", at - 1);
      if (percent < 0) break;
      address = `${address.slice(0, percent)}@${address.slice(percent + 1, at)}`;
      at = address.lastIndexOf("@");
    }
    const domain = address.slice(at + 1);
    if (this.hasVirtualUsers && !this.locals.has(asciiLower(domain))) {
      const prepend = this.virtualdomains.get(asciiLower(address));
      if (prepend) return this.local(`${prepend}-${address}`);
      if (prepend === "") return { channel: "remote", routed: address, site: this.remote(domain) };
    }
    const known = this.remembered.get(domain) ?? this.remember(domain);
    if (known.channel === "remote") return { channel: "remote", routed: address, site: known.site };
    return this.local(known.prepend === "" ? address : `${known.prepend}-${address}`);
  }

  private remember(domain: string): DomainRoute {
    if (this.remembered.size >= REMEMBERED_DOMAINS) this.remembered.clear();
    const route = this.decide(domain);
    this.remembered.set(domain, route);
    return route;
  }

  private decide(domain: string): DomainRoute {
    const lower = asciiLower(domain);
    if (this.locals.has(lower)) return { channel: "local", prepend: "", site: "" };
    for (const key of [...domainKeys(lower), ""]) {
      const prepend = this.virtualdomains.get(key);
      if (prepend === undefined) continue;
      if (prepend === "") break; // an explicit exception: remote
      return { channel: "local", prepend, site: "" };
    }
    return { channel: "remote", prepend: "", site: this.remote(domain) };
  }

  /** All mail through one relay is one site. */
  private remote(domain: string): string {
    const lower = asciiLower(domain);
    for (const key of [...domainKeys(lower), ""]) {
      const relay = this.smtproutes.get(key);
      if (relay !== undefined) return relay === "" ? `R${lower}` : `R${asciiLower(relay)}`;
    }
    return `R${lower}`;
  }

  private local(routed: string): Route {
    const lower = asciiLower(routed);
    const at = lower.lastIndexOf("@");
    const local = lower.slice(0, at);
    const dash = local.indexOf("-");
    const group = dash > 0 ? local.slice(0, dash) : local;
    return { channel: "local", routed, site: `L${group}${lower.slice(at)}` };
  }

  /**
   * The address as its sender knew it: the virtual prepend taken off again when a key of
   * virtualdomains put it there. For bounce texts.
   */
  unroute(address: string): string {
    const at = address.lastIndexOf("@");
    const lower = asciiLower(address);
    const domain = lower.slice(at + 1);
    if (this.locals.has(domain)) return address;
    if (this.hasVirtualUsers) {
      for (
        let dash = lower.indexOf("-");
        dash > 0 && dash < at;
        dash = lower.indexOf("-", dash + 1)
      ) {
        if (this.virtualdomains.get(lower.slice(dash + 1)) === address.slice(0, dash)) {
          return address.slice(dash + 1);
        }
      }
    }
    for (const key of [...domainKeys(domain), ""]) {
      const prepend = this.virtualdomains.get(key);
      if (prepend === undefined) continue;
      const prefix = `${prepend}-`;
      return prepend !== "" && address.startsWith(prefix) ? address.slice(prefix.length) : address;
    }
    return address;
  }
}

/** The tables as they stand in control files. TemporaryError when one cannot be read. */
export function readRouteTables(control: Control): RouteTables {
  const me = control.line("me");
  const locals =
    control.set("locals") ?? (me === undefined ? undefined : new Set([asciiLower(me)]));
  return {
    envnoathost: control.lineOrMe("envnoathost", "envnoathost"),
    locals: [...(locals ?? [])],
    percenthack: [...(control.set("percenthack") ?? [])],
    virtualdomains: [...(control.map("virtualdomains") ?? [])],
    smtproutes: [...(control.map("smtproutes") ?? [])],
  };
}
