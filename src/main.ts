/**
 * What every bin/NAME links to: runs dist/command/NAME.js, one script per program, from the code that V8
 * compiled when it was built. A command is started for every message, so this file is CommonJS (an ES
 * module starts 5 ms later) and loads nothing that node has not loaded by itself.
 */
import { basename, join } from "node:path";
import { runCompiled } from "./lib/compiled.ts";

type Command = (args: readonly string[]) => Promise<number>;

/** The program of that name, undefined when there is none. */
function load(name: string): Command | undefined {
  if (!/^[A-Za-z0-9-]+$/.test(name)) return undefined;
  const directory = import.meta.dirname;
  const file = join(directory, "command", `${name}.js`);
  try {
    return runCompiled<{ command: Command }>(file, { require, directory }).command;
  } catch (error) {
    if (error instanceof Error && "path" in error && error.path === file) return undefined;
    throw error;
  }
}

async function main(): Promise<number> {
  const called = basename(process.argv[1] ?? "");
  const named = called === "main.cjs" ? 2 : 1;
  const name = basename(process.argv[named] ?? "");
  const command = load(name);
  if (command) return command(process.argv.slice(named + 1));
  process.stderr.write(`ezqmail: fatal: there is no program named ${JSON.stringify(name)}\n`);
  // A link whose program is not there: dist is just being built, and no mail may bounce for that.
  return named === 1 ? 111 : 100;
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    const why = error instanceof Error ? error.stack : String(error);
    process.stderr.write(`ezqmail: fatal: ${why}\n`);
    process.exit(111);
  },
);
