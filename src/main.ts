/**
 * The dispatcher. Every bin/NAME is a link to this file; the name it was called by picks the program.
 * `main.js NAME args` works too.
 */
import { basename } from "node:path";
import { findProgram } from "./programs.ts";

const program = await findProgram(basename(process.argv[1] ?? ""));
if (!program) {
  process.stderr.write("ezqmail: no such program\n");
  process.exitCode = 100;
}
