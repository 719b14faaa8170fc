/**
 * Which hosts take the mail for a host: smtproutes, address literals, MX records, addresses. The
 * answer is a list of exchangers in order of preference, or a verdict with qmail's text. No
 * connection is made here. qmail reference 6.3, RFC 5321 5.1, RFC 7505.
 */
import { BlockList, isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";
import type { DnsResolver, MxRecord } from "../../lib/dns.ts";
import { addressLiteral, type Credentials, findRoute, SMTP_PORT } from "./smtp-route.ts";

/** One host that takes the mail, with all its addresses. */
export interface Exchanger {
  readonly name: string;
  readonly preference: number;
  readonly addresses: readonly string[];
}

export interface Destination {
  readonly exchangers: readonly Exchanger[];
  readonly port: number;
  readonly credentials?: Credentials;
  /** Equal for hosts that share their exchangers, so that they share connections too. */
  readonly key: string;
}

export interface NoDestination {
  readonly verdict: "Z" | "D";
  readonly text: string;
}

export const hostTexts = {
  soft: "Sorry, I couldn't find any host by that name. (#4.1.2)\n",
  none: "Sorry, I couldn't find a mail exchanger or IP address. (#5.4.4)\n",
  ourselves:
    "Sorry. Although I'm listed as a best-preference MX or A for that host,\n" +
    "it isn't in my control/locals file, so I don't treat it as local. (#5.4.6)\n",
  nullMx: "Sorry, that host does not accept mail. (#5.1.10)\n",
  connect: "Sorry, I wasn't able to establish an SMTP connection. (#4.4.1)\n",
} as const;

function noSuchHost(host: string): string {
  const shown = host.replace(/[^\x21-\x7e]/g, "?");
  return `Sorry, I couldn't find any host named ${shown}. (#5.1.2)\n`;
}

/** Whether an address is this machine. */
export type OwnAddressTest = (address: string) => boolean;

/** The addresses of this machine's interfaces, the loopback nets and the unspecified addresses. */
export function ownAddressTest(): OwnAddressTest {
  const own = new BlockList();
  own.addSubnet("127.0.0.0", 8);
  own.addAddress("0.0.0.0");
  own.addAddress("::1", "ipv6");
  own.addAddress("::", "ipv6");
  for (const list of Object.values(networkInterfaces())) {
    for (const { address, family } of list ?? []) {
      own.addAddress(address, family === "IPv6" ? "ipv6" : "ipv4");
    }
  }
  return (address) => own.check(address, isIPv6(address) ? "ipv6" : "ipv4");
}

export interface HostSelection {
  readonly resolver: DnsResolver;
  readonly isOwn: OwnAddressTest;
  readonly routes: ReadonlyMap<string, string> | undefined;
}

/** Find the exchangers for `host` (lower case, A-labels). */
export async function findDestination(
  host: string,
  { resolver, isOwn, routes }: HostSelection,
): Promise<Destination | NoDestination> {
  const route = findRoute(routes, host);
  if (route) {
    if (route.port === 0) return { verdict: "Z", text: hostTexts.connect };
    const literal = addressLiteral(route.relay);
    const records = literal ? [literal] : await addressesOf(route.relay, resolver);
    if (!Array.isArray(records)) return records;
    const relay = { name: route.relay, preference: 0, addresses: records };
    return destination([relay], route.port, route.credentials);
  }
  const literal = addressLiteral(host);
  if (literal) {
    return withoutOwn([{ name: host, preference: 0, addresses: [literal] }], isOwn);
  }
  const mx = await resolver.mx(host);
  if (mx.kind === "soft") return { verdict: "Z", text: hostTexts.soft };
  if (mx.kind === "found") return fromMx(mx.records, resolver, isOwn);
  const records = await addressesOf(host, resolver);
  if (!Array.isArray(records)) return records;
  return withoutOwn([{ name: host, preference: 0, addresses: records }], isOwn);
}

async function addressesOf(host: string, resolver: DnsResolver): Promise<string[] | NoDestination> {
  const answer = await resolver.addresses(host);
  switch (answer.kind) {
    case "found":
      return [...answer.records];
    case "soft":
      return { verdict: "Z", text: hostTexts.soft };
    case "nxdomain":
      return { verdict: "D", text: noSuchHost(host) };
    case "none":
      return { verdict: "D", text: hostTexts.none };
    default:
      return answer satisfies never;
  }
}

async function fromMx(
  records: readonly MxRecord[],
  resolver: DnsResolver,
  isOwn: OwnAddressTest,
): Promise<Destination | NoDestination> {
  const named = records.filter((record) => record.exchange !== "" && record.exchange !== ".");
  if (named.length === 0) return { verdict: "D", text: hostTexts.nullMx };
  let soft = false;
  const found = await Promise.all(
    named.map(async ({ exchange, preference }): Promise<Exchanger> => {
      const literal = addressLiteral(exchange);
      if (literal) return { name: exchange, preference, addresses: [literal] };
      const answer = await resolver.addresses(exchange);
      if (answer.kind === "soft") soft = true;
      const addresses = answer.kind === "found" ? answer.records : [];
      return { name: exchange, preference, addresses };
    }),
  );
  const exchangers = found.filter((exchanger) => exchanger.addresses.length > 0);
  if (exchangers.length === 0) {
    return soft ? { verdict: "Z", text: hostTexts.soft } : { verdict: "D", text: hostTexts.none };
  }
  return withoutOwn(exchangers, isOwn);
}

/** Drop what is ours and everything of equal or worse preference: else mail would go in circles. */
function withoutOwn(
  exchangers: readonly Exchanger[],
  isOwn: OwnAddressTest,
): Destination | NoDestination {
  const ours = exchangers
    .filter((exchanger) => exchanger.addresses.some(isOwn))
    .map((exchanger) => exchanger.preference);
  const limit = Math.min(...ours, Number.POSITIVE_INFINITY);
  const others = exchangers.filter((exchanger) => exchanger.preference < limit);
  if (others.length === 0) return { verdict: "D", text: hostTexts.ourselves };
  return destination(others, SMTP_PORT);
}

function destination(
  exchangers: readonly Exchanger[],
  port: number,
  credentials?: Credentials,
): Destination {
  const ordered = [...exchangers].sort((a, b) => a.preference - b.preference);
  const parts = ordered.map((e) => `${e.preference} ${[...e.addresses].sort().join(" ")}`).sort();
  return {
    exchangers: ordered,
    port,
    key: `${port};${parts.join(";")};${credentials?.user ?? ""}`,
    ...(credentials ? { credentials } : {}),
  };
}

export interface Target {
  readonly name: string;
  readonly address: string;
  readonly port: number;
}

/** Addresses in the order to try: by preference, equal ones in random order. RFC 5321 5.1. */
export function targetsOf(to: Destination, random: () => number): Target[] {
  const [only] = to.exchangers;
  const [address] = only?.addresses ?? [];
  if (only && address && to.exchangers.length === 1 && only.addresses.length === 1) {
    return [{ name: only.name, address, port: to.port }];
  }
  return to.exchangers
    .map((exchanger) => ({ exchanger, lot: random() }))
    .sort((a, b) => a.exchanger.preference - b.exchanger.preference || a.lot - b.lot)
    .flatMap(({ exchanger }) =>
      exchanger.addresses.map((address) => ({ name: exchanger.name, address, port: to.port })),
    );
}
