/**
 * Differential testing of the closed grammar: generated lines run through our evaluator and through
 * the real /bin/sh. "Our programs" are shell scripts that record their arguments and exit as told.
 */
import { execFile, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readyScript } from "../../../src/mta/local/line-script.ts";

export interface Outcome {
  readonly code: number;
  /** One entry per program that ran: name and arguments. */
  readonly ran: readonly (readonly string[])[];
}

/** Program names that stand for ours, with the exit code each gives. */
const codes: Record<string, number> = { pok: 0, pno: 1, pstop: 99, pbounce: 100, plater: 111 };

export const lineEnv: Record<string, string> = {
  SENDER: "joe smith@x.example",
  EXT: "a-b",
  DEFAULT: "",
  LOCAL: "joe'\"$x*",
  HOST: "test.example",
  EXT2: "é ü",
  RECIPIENT: "-f",
};

export function makeField(): { dir: string; env: Record<string, string> } {
  const dir = mkdtempSync(join(tmpdir(), "lines-"));
  const bin = join(dir, "bin");
  mkdirSync(bin);
  for (const [name, code] of Object.entries(codes)) {
    const path = join(bin, name);
    const script = `#!/bin/sh\nprintf '%s\\0' ${name} "$@" >&3; printf '\\1' >&3\nexit ${code}\n`;
    writeFileSync(path, script);
    chmodSync(path, 0o755);
  }
  writeFileSync(join(dir, "file"), "x");
  writeFileSync(join(dir, "empty"), "");
  writeFileSync(join(dir, "a b"), "x");
  mkdirSync(join(dir, "dir"));
  writeFileSync(join(dir, "dir", "exec"), "");
  chmodSync(join(dir, "dir", "exec"), 0o755);
  return { dir, env: { ...lineEnv, PATH: `${bin}:/usr/bin:/bin` } };
}

/** Undefined: not understood, which is always allowed. */
export async function ourOutcome(
  line: string,
  field: { dir: string; env: Record<string, string> },
): Promise<Outcome | undefined> {
  const script = readyScript(line, {
    env: field.env,
    cwd: field.dir,
    ours: (word) => (Object.hasOwn(codes, word) ? word : undefined),
  });
  if (!script) return undefined;
  const ran: string[][] = [];
  const code = await script(async (name, args) => {
    ran.push([name, ...args]);
    return codes[name] ?? 127;
  });
  return { code, ran };
}

/** Real outcomes of many lines by one shell that runs `/bin/sh -c` for each. */
export async function shellOutcomes(
  lines: readonly string[],
  field: { dir: string; env: Record<string, string> },
): Promise<Outcome[]> {
  // Builtins run in a subshell of one shell by eval: the same parser, without a process per line.
  const script = lines
    .map((line) => `( eval ${quote(line)} ) 2>/dev/null; printf '\\2%s\\3' $? >&3\n`)
    .join("");
  const path = join(field.dir, "script");
  writeFileSync(path, script);
  const bytes = await new Promise<string>((resolve, reject) => {
    const command = 'exec 3>&1 >/dev/null; . "$0"';
    const options = {
      cwd: field.dir,
      env: field.env,
      maxBuffer: 1 << 26,
      encoding: "utf8",
    } as const;
    execFile("/bin/sh", ["-c", command, path], options, (error, stdout) =>
      error ? reject(error) : resolve(stdout),
    );
  });
  const outcomes = bytes
    .split("\x03")
    .slice(0, -1)
    .map((part) => {
      const [recorded = "", code] = part.split("\x02");
      const ran = recorded
        .split("\x01")
        .slice(0, -1)
        .map((run) => run.split("\0").slice(0, -1));
      return { code: Number(code), ran };
    });
  if (outcomes.length !== lines.length) throw new Error("the shell lost a line");
  return outcomes;
}

/** One line exactly as a delivery runs it. */
export function shellOutcome(
  line: string,
  field: { dir: string; env: Record<string, string> },
): Outcome {
  const shell = spawnSync("/bin/sh", ["-c", line], {
    cwd: field.dir,
    env: field.env,
    stdio: ["ignore", "ignore", "ignore", "pipe"],
  });
  const recorded = String(shell.output[3] ?? "");
  const ran = recorded
    .split("\x01")
    .slice(0, -1)
    .map((run) => run.split("\0").slice(0, -1));
  return { code: shell.status ?? -1, ran };
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** A small generator of its own, so that a failure is named by its seed. */
export class LineMaker {
  private state: number;
  constructor(seed: number) {
    this.state = seed >>> 0 || 1;
  }

  private random(): number {
    this.state = (Math.imul(this.state, 1664525) + 1013904223) >>> 0;
    return this.state / 0x1_0000_0000;
  }

  private pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.random() * list.length)] as T;
  }

  private word(): string {
    const parts = [
      "file",
      "a",
      "./dir/exec",
      "x.y",
      "'a b'",
      '"a b"',
      "''",
      '""',
      "\\ ",
      "a\\'b",
      '"$SENDER"',
      '"$EXT-x"',
      "$EXT",
      "$HOST",
      '"$DEFAULT"',
      "$DEFAULT",
      "$SENDER",
      '"$LOCAL"',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: this is shell
      '"${EXT}y"',
      "-n",
      "'it'\"s\"",
      '"a\\"b"',
      '"a\\nb"',
      "é",
      "'ā'",
      '"$EXT2"',
      "=",
      "!",
      "]",
      "[",
      "-a",
      "a=b",
      "#x",
      "~",
      "*",
      "a;b",
      '"$UNSET"',
      "$RECIPIENT",
      '"$RECIPIENT"',
      "if",
      "fi",
      "then",
      "'if'",
      "{",
      "a#b",
      "\\\\",
      "'\\'",
      '"\\\\"',
      '"a$"',
      "x%y",
      "@",
      "1,2",
      '"`"',
      "\\$HOME",
      '"\\$EXT"',
      "a~",
      "^",
      "a!",
      '"!"',
      "'\t'",
      "\\a",
      '"\'"',
      "'\"'",
      "$$",
      "$?",
      "${EXT",
      "<",
      ">x",
      "(",
      ")",
      "&",
      "|",
    ];
    const word = this.pick(parts);
    return this.random() < 0.15 ? word + this.pick(parts) : word;
  }

  private operand(): string {
    return this.pick([
      "file",
      "empty",
      "dir",
      "none",
      "'a b'",
      '"$SENDER"',
      '""',
      "''",
      '"$DEFAULT"',
      "dir/exec",
      "/",
      '"$EXT"',
      "$EXT",
      "a-b",
      "x",
      '"$RECIPIENT"',
      "dir/",
      "file/",
      "dir/../file",
      "bin/pok",
    ]);
  }

  private test(): string {
    const primary = (): string => {
      const kind = this.random();
      if (kind < 0.5) {
        const operator = this.pick([
          "-f",
          "-d",
          "-e",
          "-s",
          "-r",
          "-x",
          "-n",
          "-z",
          "-w",
          "-L",
          "-h",
        ]);
        return `${operator} ${this.operand()}`;
      }
      if (kind < 0.85) return `${this.operand()} ${this.pick(["=", "!="])} ${this.operand()}`;
      return this.operand();
    };
    let text = this.random() < 0.2 ? `! ${primary()}` : primary();
    while (this.random() < 0.3) {
      text += ` ${this.pick(["-a", "-o"])} ${this.random() < 0.2 ? "! " : ""}${primary()}`;
    }
    if (this.random() < 0.03) text += ` ${this.word()}`;
    return this.random() < 0.5 ? `test ${text}` : `[ ${text} ]`;
  }

  private simple(): string {
    const kind = this.random();
    if (kind < 0.4) {
      let text = this.pick(Object.keys(codes));
      while (this.random() < 0.5) text += ` ${this.word()}`;
      return text;
    }
    if (kind < 0.75) return this.test();
    if (kind < 0.9) return this.pick(["true", "false", ":", "true x", "'true'", "t\\rue"]);
    return `exit ${this.pick(["0", "1", "99", "100", "111", "255", "256", "-1", "", "x", "01", '"$DEFAULT"'])}`;
  }

  private term(depth: number): string {
    const negation = this.random() < 0.12 ? "! " : "";
    if (depth > 0 && this.random() < 0.3) {
      let text = `if ${this.list(depth - 1)}; then ${this.list(depth - 1)};`;
      if (this.random() < 0.2)
        text += ` elif ${this.list(depth - 1)}; then ${this.list(depth - 1)};`;
      if (this.random() < 0.4) text += ` else ${this.list(depth - 1)};`;
      return `${negation}${text} fi`;
    }
    return negation + this.simple();
  }

  private list(depth: number): string {
    let text = this.term(depth);
    while (this.random() < 0.35) {
      text += `${this.pick([" && ", " || ", "; ", "&&", "||", ";"])}${this.term(depth)}`;
    }
    return text;
  }

  line(): string {
    let line = this.list(2);
    // Sometimes broken somewhere: then both must say so, or we must not understand.
    if (this.random() < 0.1) {
      const at = Math.floor(this.random() * line.length);
      line = line.slice(0, at) + line.slice(at + 1 + Math.floor(this.random() * 4));
    }
    return line;
  }
}
