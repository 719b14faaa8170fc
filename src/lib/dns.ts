/**
 * DNS for mail: MX, A and AAAA, with the three answers a mailer tells apart: found, absent for
 * good, or not known right now. No search list, no /etc/hosts. The only file that knows node:dns;
 * tests hand in their own DnsResolver.
 */
import { Resolver } from "node:dns/promises";

export interface MxRecord {
  readonly preference: number;
  /** "" or "." is the null MX (RFC 7505). */
  readonly exchange: string;
}

export type DnsAnswer<T> =
  | { readonly kind: "found"; readonly records: readonly T[] }
  /** The name exists, a record of this type does not; or any other permanent failure. */
  | { readonly kind: "none" }
  | { readonly kind: "nxdomain" }
  /** Try again later. */
  | { readonly kind: "soft" };

export interface DnsResolver {
  mx(domain: string): Promise<DnsAnswer<MxRecord>>;
  /** IPv4 addresses first, then IPv6. */
  addresses(host: string): Promise<DnsAnswer<string>>;
}

const softCodes = new Set(["ETIMEOUT", "ESERVFAIL", "ECONNREFUSED", "EREFUSED", "ECANCELLED"]);
const hardCodes = new Set(["ENODATA", "EBADNAME", "EFORMERR", "EBADFAMILY", "EBADQUERY"]);

async function ask<T>(query: () => Promise<T[]>): Promise<DnsAnswer<T>> {
  try {
    const records = await query();
    return records.length > 0 ? { kind: "found", records } : { kind: "none" };
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (code === "ENOTFOUND") return { kind: "nxdomain" };
    if (hardCodes.has(code) && !softCodes.has(code)) return { kind: "none" };
    return { kind: "soft" };
  }
}

/** Both families as one answer: a found one wins, then doubt, then the permanent answers. */
export function mergeAnswers<T>(a: DnsAnswer<T>, b: DnsAnswer<T>): DnsAnswer<T> {
  const records = [
    ...(a.kind === "found" ? a.records : []),
    ...(b.kind === "found" ? b.records : []),
  ];
  if (records.length > 0) return { kind: "found", records };
  if (a.kind === "soft" || b.kind === "soft") return { kind: "soft" };
  if (a.kind === "nxdomain" && b.kind === "nxdomain") return { kind: "nxdomain" };
  return { kind: "none" };
}

/** The resolver of the system (`/etc/resolv.conf`). */
export function systemResolver(): DnsResolver {
  const resolver = new Resolver({ timeout: 5000, tries: 3 });
  return {
    mx: (domain) =>
      ask(async () =>
        (await resolver.resolveMx(domain)).map((record) => ({
          preference: record.priority,
          exchange: record.exchange,
        })),
      ),
    async addresses(host) {
      // RFC 6761 6.3: this name never goes to the DNS.
      if (host.toLowerCase() === "localhost") {
        return { kind: "found", records: ["127.0.0.1", "::1"] };
      }
      const [four, six] = await Promise.all([
        ask(() => resolver.resolve4(host)),
        ask(() => resolver.resolve6(host)),
      ]);
      return mergeAnswers(four, six);
    },
  };
}
