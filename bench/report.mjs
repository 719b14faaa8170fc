/** The table: one row a figure, with everything a reader needs to believe it or not. */
import { total } from "./measure.mjs";
import { published, targets } from "./targets.mjs";

/** 4 digits that count, thousands separated. */
export function digits(value) {
  if (value === undefined || Number.isNaN(value)) return "-";
  const rounded = Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3));
  return rounded.toLocaleString("en", { maximumFractionDigits: 3 });
}

const list = (byName, least) =>
  Object.entries(byName)
    .filter(([, value]) => value >= least)
    .sort(([, a], [, b]) => b - a)
    .map(([name, value]) => `${name} ${digits(value)}`)
    .join(", ");

const head = ["figure", "value", "unit", "target", "peer here", "ratio", "elsewhere"];
const widths = [62, 9, 7, 14, 16, 7, 0];
const line = (cells) =>
  cells
    .map((cell, at) => (at === 1 ? cell.padStart(widths[at]) : cell.padEnd(widths[at])))
    .join(" ")
    .trimEnd();

/** More is better for these; everything else is a time, a size or a price. */
const rates = new Set(["/s"]);
export const moreIsBetter = (row) => rates.has(row.unit);
/** How many times better we are than that value. */
export const timesBetter = (row, other) =>
  moreIsBetter(row) ? row.value / other : other / row.value;

function targetText(row) {
  const target = targets[row.figure];
  if (!target) return "";
  const { value, at } = target;
  const figure = at ? row.latency?.[at] : row.value;
  const met = moreIsBetter(row) ? figure >= value : figure <= value;
  return `${moreIsBetter(row) ? ">=" : "<="} ${digits(value)}${at ? ` ${at}` : ""}${met ? "" : " MISS"}`;
}

export class Report {
  rows = [];
  /** What a reader must be told at the end: misses of the machine, peers that were left out. */
  notes = [];
  #headed = false;

  /**
   * { figure, value, unit, latency?, cpu?, memory?, peers?, note? }. `latency` is what percentiles() gives,
   * `cpu` µs for each unit by process, `memory` MB by process, `peers` { name: { value, cpu? } } measured in this run.
   */
  add(row) {
    if (row.latency && row.value === undefined) row.value = row.latency.p50;
    this.rows.push(row);
    if (!this.#headed) console.log(line(head));
    this.#headed = true;
    const peers = Object.entries(row.peers ?? {});
    const [peer] = peers;
    const [source, value] = published[row.figure] ?? [];
    console.log(
      line([
        row.figure,
        digits(row.value),
        row.unit,
        targetText(row),
        peer ? `${peer[0]} ${digits(peer[1].value)}` : "",
        peer ? `${digits(timesBetter(row, peer[1].value))} x` : "",
        source ? `${source} ${digits(value)}` : "",
      ]),
    );
    if (row.latency) {
      const { p50, p90, p99, worst, count } = row.latency;
      const shown = [p50, p90, p99, worst].map(digits);
      console.log(
        `    p50 ${shown[0]}, p90 ${shown[1]}, p99 ${shown[2]}, worst ${shown[3]} ${row.unit} of ${count}`,
      );
    }
    if (row.cpu) {
      const others = peers
        .filter(([, { cpu }]) => cpu)
        .map(([name, { cpu }]) => `; ${name} ${digits(total(cpu))}: ${list(cpu, 1)}`)
        .join("");
      console.log(`    CPU us each ${digits(total(row.cpu))}: ${list(row.cpu, 1)}${others}`);
    }
    if (row.memory)
      console.log(`    memory MB ${digits(total(row.memory))}: ${list(row.memory, 1)}`);
    if (row.note) console.log(`    ${row.note}`);
    return row;
  }

  /**
   * Cost for one unit at growing sizes: [[size, cost]]. One row for each size, and a word when the cost
   * of one grows by more than half from one size to one ten times larger.
   */
  curve(figure, unit, points, extra = () => ({})) {
    for (const [size, value] of points)
      this.add({ figure: `${figure}, ${size}`, value, unit, ...extra(size) });
    const worst = steepest(points);
    if (worst && worst.perDecade > 1.5) {
      const text = `worse than linear: ${figure}: ${digits(worst.cost[0])} -> ${digits(worst.cost[1])} ${unit} from ${worst.size[0]} to ${worst.size[1]}`;
      console.log(`    ${text}`);
      this.notes.push(text);
    }
  }

  /** The same for times and sizes that stand for themselves: they may grow as the size does, not faster. */
  table(figure, unit, points) {
    for (const [size, value] of points) this.add({ figure: `${figure}, ${size}`, value, unit });
    const each = points.map(([size, value]) => [size, value / size]);
    const worst = steepest(each);
    if (worst && worst.perDecade > 1.5)
      this.note(`worse than linear: ${figure}, at ${worst.size[1]}`);
  }

  /** The rows as a table for a document. */
  markdown() {
    const cells = this.rows.map((row) => {
      const [peer] = Object.entries(row.peers ?? {});
      const ratio = peer && ` (${digits(timesBetter(row, peer[1].value))} x)`;
      const tail = row.latency
        ? `; p90 ${digits(row.latency.p90)}, p99 ${digits(row.latency.p99)}`
        : "";
      const cpu = row.cpu ? `${digits(total(row.cpu))} us` : "";
      const here = `${digits(row.value)} ${row.unit}`.replace(" /s", "/s") + tail;
      return [
        ...[row.figure, here, cpu, targetText(row)],
        peer ? `${digits(peer[1].value)}${ratio}` : "",
      ];
    });
    const heads = ["figure", "here", "CPU of one", "target", "Postfix here"];
    const lines = [heads, heads.map(() => "---"), ...cells].map((row) => `| ${row.join(" | ")} |`);
    return `\n${lines.join("\n")}`;
  }

  note(text) {
    console.log(`    ${text}`);
    this.notes.push(text);
  }
}

/** The step of a curve with the steepest growth of the cost of one, per tenfold size. */
export function steepest(points) {
  let worst;
  for (let at = 1; at < points.length; at++) {
    const [[size0, cost0], [size1, cost1]] = points.slice(at - 1, at + 1);
    const perDecade = (cost1 / cost0) ** (1 / Math.log10(size1 / size0));
    if (!worst || perDecade > worst.perDecade)
      worst = { perDecade, size: [size0, size1], cost: [cost0, cost1] };
  }
  return worst;
}
