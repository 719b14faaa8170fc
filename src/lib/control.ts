/**
 * Control files (`control/NAME` in the home), read the way every qmail program reads them. A missing
 * file is a decision of the caller; any other trouble is temporary. qmail reference 0.3.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { asciiLower } from "./address.ts";
import { errorText, isErrno, TemporaryError } from "./errors.ts";

export class Control {
  readonly home: string;

  constructor(home: string) {
    this.home = home;
  }

  private read(name: string): string | undefined {
    try {
      return readFileSync(join(this.home, "control", name), "utf8");
    } catch (error) {
      if (isErrno(error, "ENOENT")) return undefined;
      throw new TemporaryError(`Unable to read control/${name}: ${errorText(error)}. (#4.3.0)`, {
        cause: error,
      });
    }
  }

  /** First line without trailing blanks; an empty file is "", a missing one undefined. */
  line(name: string): string | undefined {
    return this.read(name)
      ?.split("\n", 1)[0]
      ?.replace(/[ \t\n]+$/, "");
  }

  /** `line`, else `me`, else `fallback`. */
  lineOrMe(name: string, fallback: string): string {
    return this.line(name) ?? this.line("me") ?? fallback;
  }

  /** Leading digits of the first line; without any the file counts as missing. */
  number(name: string, fallback: number): number {
    const digits = /^\d+/.exec(this.line(name) ?? "");
    return digits ? Number(digits[0]) : fallback;
  }

  /** Lines without trailing blanks; empty ones and `#` comments dropped. */
  list(name: string): string[] | undefined {
    return this.read(name)
      ?.split("\n")
      .map((line) => line.replace(/[ \t]+$/, ""))
      .filter((line) => line !== "" && !line.startsWith("#"));
  }

  /** A list as a set of lower-cased keys. */
  set(name: string): Set<string> | undefined {
    const lines = this.list(name);
    return lines && new Set(lines.map(asciiLower));
  }

  /** `key:value` lines; keys lower-cased, a line without colon is ignored, the last of equal keys wins. */
  map(name: string): Map<string, string> | undefined {
    const lines = this.list(name);
    if (!lines) return undefined;
    const map = new Map<string, string>();
    for (const line of lines) {
      const colon = line.indexOf(":");
      if (colon >= 0) map.set(asciiLower(line.slice(0, colon)), line.slice(colon + 1));
    }
    return map;
  }
}

/** Keys to try for a domain in rcpthosts, virtualdomains and smtproutes: itself, then each `.suffix`, longest first. */
export function domainKeys(domain: string): string[] {
  const lower = asciiLower(domain);
  const keys = [lower];
  for (let dot = lower.indexOf("."); dot >= 0; dot = lower.indexOf(".", dot + 1)) {
    if (dot > 0 || lower.length > 1) keys.push(lower.slice(dot));
  }
  return keys;
}
