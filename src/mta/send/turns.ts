/**
 * Whose turn it is: lanes that may start something, in rings by class and standing of their site. A lane
 * whose site has all the slots it may have, or is blocked, stands in no ring and costs nothing; it comes
 * back when a slot of its site ends.
 *
 * Who hangs must not get all slots, and nobody can be told before he hangs. So of the slots of a channel a
 * fifth is only for sites known to be good, a third is never given to untested ones, and when some hang
 * the untested get half of what is left, ever less. Sites known to be slow share a tenth. A good remote site
 * that takes its time gets half of the slots while other sites are known: it would have all of them soon,
 * for as long as its mail lasts.
 */
import type { MessageClass } from "../queue/work.ts";
import type { Lane } from "./lane.ts";
import type { ChannelName } from "./schedule.ts";
import type { Site, Standing } from "./site.ts";

/** Who is asked first, turn by turn; the other classes follow in order. */
const TURNS: readonly MessageClass[] = [0, 1, 0, 2, 1, 0, 1, 2];
/** Within a class neither the known nor the unknown always come first. */
const ORDERS: readonly (readonly Standing[])[] = [
  ["good", "untested", "slow"],
  ["untested", "good", "slow"],
];
/** With fewer slots there is nothing to share out. */
const FEW_SLOTS = 5;

type Rings = Readonly<Record<Standing, Set<Lane>>>;

function makeRings(): Rings {
  return { good: new Set(), untested: new Set(), slow: new Set() };
}

export class Turns {
  private readonly limit: number;
  private readonly shares: () => boolean;
  private readonly rings = [makeRings(), makeRings(), makeRings()] as const;
  /** Slots by standing of their site now. */
  private readonly held: Record<Standing, number> = { good: 0, untested: 0, slow: 0 };
  private turn = 0;

  /** `limit`: slots of the channel. `shares`: whether good sites must leave room for each other. */
  constructor(limit: number, shares: () => boolean = () => false) {
    this.limit = limit;
    this.shares = shares;
  }

  enter(lane: Lane): void {
    if (lane.inRing) return;
    lane.inRing = true;
    this.rings[lane.class][lane.place.standing].add(lane);
  }

  leave(lane: Lane): void {
    if (!lane.inRing) return;
    lane.inRing = false;
    this.rings[lane.class][lane.place.standing].delete(lane);
  }

  hold(site: Site, change: 1 | -1): void {
    site.running += change;
    this.held[site.standing] += change;
  }

  /** The site is seen with other eyes; so are its slots and lanes. */
  restand(site: Site, standing: Standing): void {
    const inRing = site.lanes.filter((lane) => lane.inRing);
    for (const lane of inRing) this.leave(lane);
    this.held[site.standing] -= site.running;
    site.standing = standing;
    this.held[standing] += site.running;
    for (const lane of inRing) this.enter(lane);
  }

  /** Slots that bulk mail leaves free. */
  private get reserve(): number {
    return this.limit >= FEW_SLOTS ? Math.ceil(this.limit / 10) : 0;
  }

  /** Whether another slot may go to a site of that standing. */
  private mayRisk(standing: Standing, cls: MessageClass): boolean {
    const { limit, held } = this;
    if (standing === "good" || limit < FEW_SLOTS) return true;
    const forGood = Math.ceil(limit / 5);
    if (standing === "slow") return held.slow < Math.ceil(limit / 10);
    // Answers to people, who are mostly new to us, may use more, and nearly all.
    if (cls === 0) return held.untested + held.slow < limit - Math.ceil(forGood / 2);
    const most =
      held.slow === 0 ? Math.ceil((limit * 2) / 3) : Math.ceil((limit - forGood - held.slow) / 2);
    return held.untested < most;
  }

  /** Slots that one site may have for mail of a class. */
  private most({ standing, isQuick }: Site, cls: MessageClass): number {
    if (this.limit < FEW_SLOTS) return this.limit;
    // What is urgent may use the last slots even at a site that bulk mail fills.
    if (standing === "good") {
      const all = isQuick || cls === 0 || !this.shares() ? this.limit : Math.ceil(this.limit / 2);
      return all - ([0, Math.ceil(this.reserve / 2), this.reserve][cls] ?? 0);
    }
    return (standing === "slow" ? 1 : this.reserve) + (cls === 0 ? 1 : 0);
  }

  /** Whether the site has all the slots it may have for that class. */
  isFull(lane: Lane): boolean {
    return lane.place.running >= this.most(lane.place, lane.class);
  }

  /** The lane to start from next, undefined when nothing may start. `blocked` takes a lane out. */
  next(free: number, blocked: (lane: Lane) => boolean): Lane | undefined {
    const turn = this.turn++;
    const first = TURNS[turn % TURNS.length] as MessageClass;
    for (const cls of [first, 0, 1, 2] as const) {
      if (cls === 2 && free <= this.reserve) continue;
      for (const standing of ORDERS[turn & 1] as readonly Standing[]) {
        const ring = this.rings[cls][standing];
        if (ring.size === 0 || !this.mayRisk(standing, cls)) continue;
        for (const lane of ring) {
          this.leave(lane);
          if (lane.readyCount === 0 || this.isFull(lane) || blocked(lane)) continue;
          this.enter(lane);
          return lane;
        }
      }
    }
    return undefined;
  }
}

export type TurnsByChannel = Readonly<Record<ChannelName, Turns>>;
