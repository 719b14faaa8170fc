/**
 * How recipients become jobs: by site, in order, up to a slot's worth each. Pure; the writer thread
 * does it slice by slice for a message in todo, intake for the first recipients of each, which become
 * jobs in the transaction that accepts it.
 */
import type { Router } from "../send/route.ts";
import { packRecipients } from "./packed.ts";
import type { MessageClass, NewJob } from "./work.ts";

/** Most recipients of one job: a remote slot, or a stretch of local deliveries. */
export const REMOTE_JOB = 200;
export const LOCAL_JOB = 50;

interface Group {
  readonly limit: number;
  originals: string[];
  routed: string[];
  ordinals: number[];
}

export interface Planned {
  readonly id: number;
  readonly class: MessageClass;
  /** Seconds; the jobs are due at once. */
  readonly born: number;
}

/** `ordinal`: number of the first of `addresses` among the message's recipients. */
export function planJobs(
  message: Planned,
  addresses: readonly string[],
  ordinal: number,
  router: Router,
): NewJob[] {
  const groups = new Map<string, Group>();
  const jobs: NewJob[] = [];
  const close = (site: string, group: Group): void => {
    const local = site.startsWith("L");
    jobs.push({
      message: message.id,
      site,
      class: message.class,
      nextAt: message.born,
      count: group.originals.length,
      ordinals: local ? packOrdinals(group.ordinals) : null,
      packed: packRecipients(group.originals, group.routed),
    });
  };
  let next = ordinal;
  for (const address of addresses) {
    const route = router.route(address);
    let group = groups.get(route.site);
    if (!group) {
      const limit = route.channel === "local" ? LOCAL_JOB : REMOTE_JOB;
      group = { limit, originals: [], routed: [], ordinals: [] };
      groups.set(route.site, group);
    }
    group.originals.push(address);
    group.routed.push(route.routed);
    group.ordinals.push(next++);
    if (group.originals.length >= group.limit) {
      close(route.site, group);
      groups.delete(route.site);
    }
  }
  for (const [site, group] of groups) close(site, group);
  return jobs;
}

/** null when each recipient has the number of its place, as that of mail for one has. */
function packOrdinals(ordinals: readonly number[]): Uint8Array | null {
  if (ordinals.every((ordinal, at) => ordinal === at)) return null;
  return new Uint8Array(new Uint32Array(ordinals).buffer);
}
