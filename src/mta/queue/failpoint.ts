/**
 * Named points where a test makes the process die. `EZQMAIL_FAILPOINT=name[:count]` kills at the
 * count-th time the point is reached (default the first); anything else costs one comparison.
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

  constructor(setting: string | undefined, kill: () => void) {
    const [name = "", count = "1"] = (setting ?? "").split(":");
    this.name = name;
    this.left = Number(count) || 1;
    this.kill = kill;
  }

  hit(name: FailpointName): void {
    if (name !== this.name || --this.left > 0) return;
    this.kill();
  }
}
