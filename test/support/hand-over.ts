/** Commands run by root act as the owner of the list; tests run by root give the list to somebody. */
import { chownSync, lstatSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";

const nobody = 65534;

/** Give a list directory and the directory around it to `nobody`; without root: nothing to do. */
export function handOver(dir: string): void {
  if (process.getuid?.() !== 0) return;
  chownSync(dirname(dir), nobody, nobody);
  const walk = (path: string): void => {
    chownSync(path, nobody, nobody);
    if (lstatSync(path).isDirectory()) for (const name of readdirSync(path)) walk(join(path, name));
  };
  walk(dir);
}
