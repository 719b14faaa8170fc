/** The checkout the tests run in, and where its programs find their node. */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

/** A PATH of our own: `env node` in it is the node that runs the tests, which may not be the system's. */
export const plainPath = `${dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin`;
