/**
 * Whether receivers will refuse (or file as spam) a post that keeps its author's From: what the
 * domain of the author publishes as its DMARC policy. Exact domain first, then its parents (tree
 * walk of RFC 9989 4.10, without the Public Suffix List). Trouble with the DNS is an answer, too:
 * the post must not wait for somebody else's name server.
 */
import { Resolver } from "node:dns/promises";
import { asciiLower } from "../../lib/address.ts";

export type Policy = "none" | "quarantine" | "reject" | "unknown";

/** TXT records of a name, each joined; `undefined` when the DNS cannot say. */
export type TxtLookup = (name: string) => Promise<readonly string[] | undefined>;

/** Names that are nobody's: no query leaves for them. RFC 2606, RFC 6761. */
const reserved = /(?:^|\.)(?:test|example|invalid|localhost|local)$/;

/** What all questions about one post may take together, milliseconds. */
const PATIENCE_MS = 3000;

/**
 * `servers`: as in DNSCACHEIP, separated by blanks; else those of the system. When the time for one
 * post is used up, nothing more is asked.
 */
export function systemTxt(servers: string | undefined, patienceMs = PATIENCE_MS): TxtLookup {
  // Made when first asked: it reads the files of the system, and many posts ask nothing.
  let resolver: Resolver | undefined;
  const start = (): Resolver => {
    const made = new Resolver({ timeout: 2000, tries: 2 });
    const own = servers?.split(/[ ,]+/).filter((server) => server !== "") ?? [];
    if (own.length > 0) made.setServers(own);
    return made;
  };
  let end: number | undefined;
  return async (name) => {
    end ??= performance.now() + patienceMs;
    const leftMs = end - performance.now();
    if (leftMs <= 1) return undefined; // a timer may be early by one
    const timer = setTimeout(() => resolver?.cancel(), leftMs);
    try {
      resolver ??= start();
      return (await resolver.resolveTxt(name)).map((parts) => parts.join(""));
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : "";
      return code === "ENOTFOUND" || code === "ENODATA" || code === "EBADNAME" ? [] : undefined;
    } finally {
      clearTimeout(timer);
    }
  };
}

/** What `domain` asks receivers to do with mail that fails DMARC. */
export async function dmarcPolicy(domain: string, txt: TxtLookup): Promise<Policy> {
  const author = asciiLower(domain).replace(/\.$/, "");
  if (reserved.test(author) || !/^[a-z0-9_-]+(\.[a-z0-9_-]+)+$/.test(author)) return "none";
  let above: string | undefined;
  for (const name of walk(author)) {
    const answer = await txt(`_dmarc.${name}`);
    if (!answer) return "unknown";
    const tags = record(answer);
    if (!tags) continue;
    if (name === author) return policy(tags.get("p"));
    // The last one found, the shortest name, is the organisation; psd says where to stop.
    const psd = tags.get("psd");
    above = tags.get("sp") ?? tags.get("p");
    if (psd === "n" || psd === "y") break;
  }
  return policy(above);
}

/** The name itself, then its parents; at most eight queries. */
function walk(author: string): string[] {
  const labels = author.split(".");
  const start = labels.length <= 8 ? 1 : labels.length - 7;
  const names = [author];
  for (let at = start; at < labels.length; at++) names.push(labels.slice(at).join("."));
  return names.slice(0, 8);
}

function record(answer: readonly string[]): Map<string, string> | undefined {
  const found = answer.filter((text) => /^v[ \t]*=[ \t]*DMARC1[ \t]*(;|$)/.test(text));
  if (found.length !== 1) return undefined;
  const tags = (found[0] as string).split(";").map((tag) => tag.split("=", 2));
  return new Map(
    tags.map(([name = "", value = ""]) => [asciiLower(name.trim()), asciiLower(value.trim())]),
  );
}

function policy(value: string | undefined): Policy {
  return value === "reject" || value === "quarantine" ? value : "none";
}

/** Domains of the addresses in a From value; comments and quoted strings do not count. */
export function authorDomains(from: string): string[] {
  const bare = from
    .slice(0, 4096)
    .replace(/\\./g, "")
    .replace(/"[^"]*"/g, "q")
    .replace(/\([^()]*\)/g, "");
  const found = [...bare.matchAll(/@([^\s<>,;:"@]+)/g)].map((match) => match[1] as string);
  return [...new Set(found)].slice(0, 4);
}
