/**
 * What every bin/NAME links to. Commands that only hand in mail are started for every message, so they
 * are one file with nothing else in it (quick.js); all others share chunks (dispatcher.entry.js).
 */
import { basename } from "node:path";

const called = basename(process.argv[1] ?? "");
const name = called === "main.js" ? process.argv[2] : called;
const isQuick = name === "qmail-inject" || name === "qmail-queue";
// Files of dist/, not of the sources: the bundler must not look for them.
const file = isQuick ? "./quick.js" : "./dispatcher.entry.js";
await import(file);
