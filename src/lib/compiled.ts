/**
 * Runs a CommonJS script from the code that V8 compiled when it was built (`FILE.v8`). Code that another
 * version of V8, or one with other limits, compiled is refused by it; then the script is compiled here.
 */
import { readFileSync } from "node:fs";
import { Script } from "node:vm";

/** The caller's own: where the script looks for packages, and what it takes for its directory. */
export interface Surroundings {
  readonly require: NodeJS.Require;
  readonly directory: string;
}

/** What the script exports. Throws the system error when it cannot be read. */
export function runCompiled<Exports>(
  file: string,
  { require, directory }: Surroundings,
): Partial<Exports> {
  const script = new Script(readFileSync(file, "latin1"), {
    filename: file,
    cachedData: readFileSync(`${file}.v8`),
  });
  const module: { exports: Partial<Exports> } = { exports: {} };
  script.runInThisContext()(module.exports, require, module, file, directory);
  return module.exports;
}
