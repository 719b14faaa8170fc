/**
 * The log of a server in a file, looked at now and then in large pieces: a reader in a pipe would cost CPU and
 * make the figures worse than they are.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { clock } from "./smtp.mjs";

export class Log {
  #counters = new Set();
  #limits = new Set();
  #recent = "";

  constructor(path) {
    const fd = openSync(path, "r");
    const chunk = Buffer.allocUnsafe(1 << 20);
    let rest = "";
    const look = () => {
      for (let size = readSync(fd, chunk); size > 0; size = readSync(fd, chunk)) {
        const text = rest + chunk.latin1Slice(0, size);
        const end = text.lastIndexOf("\n") + 1;
        rest = text.slice(end);
        const whole = text.slice(0, end);
        this.#recent = (this.#recent + whole.slice(-4000)).slice(-4000);
        for (const count of this.#counters) count(whole);
      }
    };
    const timer = setInterval(look, 2);
    this.close = () => {
      clearInterval(timer);
      for (const limit of this.#limits) clearTimeout(limit);
      closeSync(fd);
    };
  }

  /** Resolves with the times (ms, monotonic) of the first and the last of `wanted` occurrences of `text` from now on. */
  occurrences(text, wanted = 1, limitMs = 600_000) {
    return new Promise((resolve, reject) => {
      let seen = 0;
      let first = 0;
      const timer = setTimeout(() => {
        this.#counters.delete(count);
        reject(
          new Error(
            `${seen} of ${wanted} "${text}" in ${limitMs} ms; the log ends:\n${this.#recent}`,
          ),
        );
      }, limitMs);
      this.#limits.add(timer);
      const count = (lines) => {
        for (let at = lines.indexOf(text); at >= 0; at = lines.indexOf(text, at + text.length))
          seen++;
        if (seen > 0) first ||= clock();
        if (seen < wanted) return;
        clearTimeout(timer);
        this.#limits.delete(timer);
        this.#counters.delete(count);
        resolve({ first, last: clock() });
      };
      this.#counters.add(count);
    });
  }
}
