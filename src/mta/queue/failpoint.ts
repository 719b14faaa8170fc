/**
 * Named points where a test makes the process die. `EZQMAIL_FAILPOINT=name[:count]` kills at the
 * count-th time the point is reached (default the first); none set costs one comparison. A name that
 * is no point is refused, since a test that never crashes proves nothing.
 */

/** Every point, in the order a message meets them. */
export const failpoints = [
  "spill-written",
  "accept-before-commit",
  "accept-after-commit",
  "drop-before-unlink",
  "expand-before-commit",
  "expand-after-commit",
  "deliver-sent",
  "mark-before-commit",
  "mark-after-commit",
  "finish-before-commit",
  "finish-after-commit",
  "spill-before-unlink",
] as const;

export type FailpointName = (typeof failpoints)[number];

export class Failpoint {
  private readonly name: string;
  private left: number;
  private readonly kill: () => void;

  /** Throws for what is neither empty nor `name[:count]` with a point of the list. */
  constructor(setting: string | undefined, kill: () => void) {
    const [name = "", count = "1", ...rest] = (setting ?? "").split(":");
    const known: readonly string[] = failpoints;
    const isCount = /^[1-9][0-9]{0,8}$/.test(count) && rest.length === 0;
    if (name !== "" && !(known.includes(name) && isCount)) {
      throw new Error(`there is no failpoint ${setting}`);
    }
    this.name = name;
    this.left = Number(count);
    this.kill = kill;
  }

  hit(name: FailpointName): void {
    if (name !== this.name || --this.left > 0) return;
    this.kill();
  }
}
