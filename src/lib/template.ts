/**
 * Handlebars, wrapped: the only file that knows it. Templates are mail bodies written by list owners,
 * so they are untrusted: no escaping (plain text), strict (a misspelt name is an error, not a hole in
 * the text), only `if unless each with`, no partials, no helper that reaches a file. Compiled
 * templates are kept by their source text. Loaded with the first template: most programs need none.
 */
import { createRequire } from "node:module";
import type Handlebars from "handlebars";
import { TemporaryError } from "./errors.ts";

export type TemplateValue = string | number | boolean | undefined | TemplateContext;
/** Every name a template may use must be there, if only as "" or false. */
export interface TemplateContext {
  readonly [name: string]: TemplateValue;
}

let engine: typeof Handlebars | undefined;

function loadEngine(): typeof Handlebars {
  if (engine) return engine;
  const library: typeof Handlebars = createRequire(import.meta.url)("handlebars");
  engine = library.create();
  for (const name of ["log", "lookup"]) engine.unregisterHelper(name);
  return engine;
}

const keep = 200;
const compiled = new Map<string, Handlebars.TemplateDelegate<TemplateContext>>();

/**
 * Fill a template. Throws TemporaryError when it does not compile or uses a name that is not there; `what`
 * says there which template it is, as its path.
 */
export function renderTemplate(
  source: string,
  context: TemplateContext,
  what = "a template",
): string {
  try {
    return compile(source)(context);
  } catch (error) {
    throw new TemporaryError(`Unable to use ${what}: ${reason(error)}. (#4.3.5)`, { cause: error });
  }
}

/** The library's words as the rest of a sentence, with the line where it knows one. */
function reason(error: unknown): string {
  const said = (error instanceof Error ? error.message : String(error)).split("\n", 1)[0] ?? "";
  const unreadable = /^Parse error on line (\d+)/.exec(said)?.[1];
  if (unreadable !== undefined) return `line ${unreadable} does not make sense`;
  const [, words = said, line] = /^(.*) - (\d+):\d+$/.exec(said) ?? [];
  const name =
    /^"(.*)" not defined in /.exec(words)?.[1] ?? /unknown helper (\S+)$/.exec(words)?.[1];
  const why = name === undefined ? words.replace(/[\s.:]+$/, "") : `there is no name "${name}"`;
  return line === undefined ? why : `${why} (line ${line})`;
}

function compile(source: string): Handlebars.TemplateDelegate<TemplateContext> {
  const known = compiled.get(source);
  if (known) return known;
  const made = loadEngine().compile<TemplateContext>(source, {
    noEscape: true,
    strict: true,
    knownHelpersOnly: true,
    knownHelpers: { log: false, lookup: false } as never,
  });
  const oldest = compiled.keys().next();
  if (compiled.size >= keep && !oldest.done) compiled.delete(oldest.value);
  compiled.set(source, made);
  return made;
}
