/**
 * The ezmlmrc language: a template and the settings of a list give the steps that make or change it.
 * Pure: reads no file of the list, changes nothing. Reference ezmlm-files.md 4.
 */
import { PermanentError } from "../../lib/errors.ts";

/** What conditions ask about and tags are filled with. */
export interface RecipeSettings {
  /** Switches that are on, as letters. */
  readonly on: ReadonlySet<string>;
  /** Arguments `0`..`9` that are not empty. */
  readonly values: ReadonlyMap<string, string>;
  /** Changing an existing list. */
  readonly edit: boolean;
  /** Overwrite files marked `E` too. */
  readonly force: boolean;
  /** Text for `B C D F H L T X`. */
  readonly fill: Readonly<Record<string, string>>;
}

export type Step =
  | { kind: "file"; name: string; lines: string[]; onlyIfMissing: boolean }
  | { kind: "remove"; name: string }
  | { kind: "directory"; name: string }
  | { kind: "link"; suffix: string; target: string };

/** Version of the language; a template with another one is used, with a warning. */
export const recipeVersion = "7.2";

/** What is odd about the first line; undefined: nothing. */
export function versionWarning(template: string): string | undefined {
  const found = /^(\d+)\.(\d)/.exec(template);
  const [major, minor] = recipeVersion.split(".");
  return found?.[1] === major && found?.[2] === minor
    ? undefined
    : "ezmlmrc was written for another version";
}

/** The steps in the order of the template. Throws PermanentError on a bad tag, with its line number. */
export function readRecipe(template: string, settings: RecipeSettings): Step[] {
  const steps: Step[] = [];
  /** The file that text goes to; `step` is set once a tag of it was true. */
  let file: { name: string; onlyIfMissing: boolean; step?: Step & { kind: "file" } } | undefined;
  let copying = false;
  template
    .replace(/\n$/, "")
    .split("\n")
    .forEach((whole, index) => {
      const line = whole.split("\0", 1)[0] ?? "";
      if (line.startsWith("#") || (index === 0 && !line.startsWith("</"))) return;
      if (!line.startsWith("</")) {
        if (copying) file?.step?.lines.push(fillTags(line, settings));
        return;
      }
      const tag = parseTag(line, index + 1);
      const { holds, keep } = evaluate(tag.condition, settings);
      copying = false;
      if (tag.kind !== "file") {
        if (holds) steps.push(stepOf(tag, index + 1));
        return;
      }
      if (!file || (tag.name !== "" && tag.name !== file.name)) {
        if (tag.name === "") return;
        file = { name: tag.name, onlyIfMissing: keep };
      }
      if (!holds) return;
      copying = true;
      if (!file.step) {
        file.step = { kind: "file", name: file.name, lines: [], onlyIfMissing: file.onlyIfMissing };
        steps.push(file.step);
      }
    });
  return steps;
}

interface Tag {
  readonly kind: "file" | "remove" | "directory" | "link";
  readonly name: string;
  readonly condition: string;
}

const kinds: Readonly<Record<string, Tag["kind"]>> = {
  "-": "remove",
  "+": "directory",
  ":": "link",
};

function parseTag(line: string, number: number): Tag {
  if (line.includes(".")) throw bad(number, "a tag may not contain a dot");
  const end = line.indexOf("/>");
  if (end < 0) throw bad(number, "a tag must end in />");
  const inside = line.slice(2, end);
  const mark = inside.indexOf("#");
  const name = mark < 0 ? inside : inside.slice(0, mark);
  const condition = mark < 0 ? "" : inside.slice(mark + 1);
  const kind = kinds[name.charAt(0)];
  return kind ? { kind, name: name.slice(1), condition } : { kind: "file", name, condition };
}

function stepOf(tag: Tag, number: number): Step {
  if (tag.kind === "link") {
    const slash = tag.name.indexOf("/");
    if (slash < 0) throw bad(number, "a link needs /NAME for its target");
    return { kind: "link", suffix: tag.name.slice(0, slash), target: tag.name.slice(slash + 1) };
  }
  if (tag.name === "") throw bad(number, "a name is missing");
  return { kind: tag.kind === "remove" ? "remove" : "directory", name: tag.name };
}

/** Whether all of it holds, and whether an existing file is left alone. */
function evaluate(condition: string, settings: RecipeSettings): { holds: boolean; keep: boolean } {
  let holds = true;
  let keep = false;
  let negate = false;
  for (const mark of condition) {
    if (mark === "^") {
      negate = true;
      continue;
    }
    if ((mark === "E" && !negate) || (mark === "e" && negate)) {
      keep = settings.edit && !settings.force;
    } else if (/[a-zA-Z0-9]/.test(mark)) {
      holds &&= test(mark, settings) !== negate;
    }
    negate = false;
  }
  return { holds, keep };
}

function test(mark: string, settings: RecipeSettings): boolean {
  if (/[0-9]/.test(mark)) return settings.values.has(mark);
  const lower = mark.toLowerCase();
  const on = lower === "e" ? settings.edit : settings.on.has(lower);
  return mark === lower ? on : !on;
}

/** Tags nobody knows are left for run time. */
function fillTags(line: string, settings: RecipeSettings): string {
  return line.replace(/<#([BCDFHLTX0-9])#>/g, (_all, letter: string) =>
    /[0-9]/.test(letter) ? (settings.values.get(letter) ?? "") : (settings.fill[letter] ?? ""),
  );
}

function bad(number: number, why: string): PermanentError {
  return new PermanentError(`ezmlmrc line ${number}: ${why}. (#5.3.5)`);
}
