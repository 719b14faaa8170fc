/**
 * What qmail-lspawn starts for a local worker: runs local-worker.entry.js from compiled code. Every uid
 * that gets mail needs a worker, and as an ES module of many files it took twice as long to start.
 */
import { join } from "node:path";
import { runCompiled } from "../../lib/compiled.ts";

const directory = import.meta.dirname;
runCompiled(join(directory, "local-worker.entry.js"), { require, directory });
