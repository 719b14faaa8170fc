/**
 * Destinations by host, for a minute; temporary answers for less. Hosts with the same smtproutes
 * relay are one entry: a site that sends everything to one server looks it up once.
 */
import type { RemoteControls } from "./controls.ts";
import { type Destination, findDestination, type HostSelection, type NoDestination } from "./mx.ts";
import { findRoute } from "./smtp-route.ts";

export interface Found {
  readonly answer: Promise<Destination | NoDestination>;
  /** Once it is known. */
  value: Destination | NoDestination | undefined;
  /** As the clock of the cache. */
  until: number;
}

const FOUND_MS = 60_000;
const SOFT_MS = 10_000;
const MOST_ENTRIES = 20_000;

export class DestinationCache {
  private readonly selection: Omit<HostSelection, "routes">;
  private readonly now: () => number;
  private readonly entries = new Map<string, Found>();
  /** The same by host, so that the routes are not searched for every delivery. */
  private readonly hosts = new Map<string, Found>();

  /** `now`: milliseconds on a clock that never jumps. */
  constructor(selection: Omit<HostSelection, "routes">, now: () => number) {
    this.selection = selection;
    this.now = now;
  }

  clear(): void {
    this.entries.clear();
    this.hosts.clear();
  }

  /** The answer rejects when something broke; the next call after a moment looks anew. */
  find(host: string, { routes }: RemoteControls): Found {
    const now = this.now();
    const before = this.hosts.get(host);
    if (before && now < before.until) return before;
    const entry = this.look(host, routes, now);
    if (this.hosts.size >= MOST_ENTRIES) this.hosts.clear();
    this.hosts.set(host, entry);
    return entry;
  }

  private look(host: string, routes: RemoteControls["routes"], now: number): Found {
    const route = findRoute(routes, host);
    const { user = "", password = "" } = route?.credentials ?? {};
    const key = route ? ["", route.relay, route.port, user, password].join("\0") : host;
    const known = this.entries.get(key);
    if (known && now < known.until) return known;
    const { resolver, isOwn } = this.selection;
    const answer = findDestination(host, { resolver, isOwn, routes });
    const entry: Found = { answer, value: undefined, until: now + FOUND_MS };
    const soon = (): void => {
      entry.until = Math.min(entry.until, this.now() + SOFT_MS);
    };
    answer.then((value) => {
      entry.value = value;
      if ("verdict" in value && value.verdict === "Z") soon();
    }, soon);
    this.entries.delete(key);
    if (this.entries.size >= MOST_ENTRIES) {
      const [oldest] = this.entries.keys();
      if (oldest !== undefined) this.entries.delete(oldest);
    }
    this.entries.set(key, entry);
    return entry;
  }
}
