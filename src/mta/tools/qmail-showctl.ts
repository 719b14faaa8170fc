/**
 * NAME         qmail-showctl - say in words what the control files set
 * SYNOPSIS     qmail-showctl
 * DESCRIPTION  Prints where the MTA lives and who runs it, then one paragraph
 *              for each control file, whether it exists or not, and one for
 *              each file in control/ that nothing here reads.
 * ENVIRONMENT  QMAILHOME the MTA home.
 * FILES        control/
 * EXIT CODES   0 done. 100 wrong use. 111 a control file cannot be read.
 * SEE ALSO     qmail-setup, qmail-send, qmail-smtpd, qmail-inject
 */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { Control } from "../../lib/control.ts";
import { isErrno, TemporaryError } from "../../lib/errors.ts";
import { type ExitCode, SUCCESS, TEMPORARY } from "../../lib/exit-code.ts";
import { OptionTable } from "../../lib/option.ts";
import type { Host, Program } from "../../lib/program.ts";
import { identities } from "../start/identity.ts";
import { type ControlRow, controlTable } from "./control-table.ts";

const options = new OptionTable("qmail-showctl", []);

export const qmailShowctl: Program = {
  name: "qmail-showctl",
  usage: options.usage,
  async run(host) {
    if (options.parse(host.args).rest.length > 0) throw options.error();
    host.stdout.write(`qmail home directory: ${host.home}.\n`);
    host.stdout.write("user-ext delimiter: -.\npaternalism (in decimal): 2.\n");
    host.stdout.write(`processes: ${identities(host).text}.\n`);
    const control = new Control(host.home);
    const present = controlFiles(host);
    let code: ExitCode = SUCCESS;
    for (const row of controlTable) {
      try {
        host.stdout.write(paragraph(control, row, present.has(row.name), host.home));
      } catch (error) {
        if (!(error instanceof TemporaryError)) throw error;
        host.stdout.write(`\n${row.name}: Oops! Trouble reading this file.\n`);
        code = TEMPORARY;
      }
    }
    const known = new Set(controlTable.flatMap((row) => [row.name, sourceOf(row) ?? row.name]));
    for (const name of [...present].sort()) {
      if (!known.has(name)) {
        host.stdout.write(`\n${printable(name)}: I have no idea what this file does.\n`);
      }
    }
    return code;
  },
};

function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?");
}

function controlFiles(host: Host): Set<string> {
  try {
    return new Set(readdirSync(join(host.home, "control")));
  } catch (error) {
    if (isErrno(error, "ENOENT")) return new Set();
    throw new TemporaryError(`Unable to read ${host.home}/control. (#4.3.0)`, { cause: error });
  }
}

function paragraph(control: Control, row: ControlRow, exists: boolean, home: string): string {
  const lead = `\n${row.name}: `;
  if (row.kind === "compiled") return `${lead}${compiledText(row, exists, home)}\n`;
  if (!exists) {
    const { fallback } = row;
    const value = typeof fallback === "function" ? fallback(control) : fallback;
    const text = value === undefined ? (row.missing ?? "Undefined.") : row.sentence(String(value));
    return `${lead}(Default.) ${printable(text)}\n`;
  }
  if (row.kind === "list") {
    const lines = (control.list(row.name) ?? []).map((line) => printable(row.sentence(line)));
    return `${lead}\n${lines.map((line) => `${line}\n`).join("")}`;
  }
  const value =
    row.kind === "number"
      ? control.number(row.name, Number(row.fallback ?? 0))
      : control.line(row.name);
  return `${lead}${printable(row.sentence(String(value ?? "")))}\n`;
}

function sourceOf({ name, compiler }: ControlRow): string | undefined {
  return compiler && name.replace(/\.cdb$/, "");
}

/** A compiled file older than its source does not say what the source says. */
function compiledText(row: ControlRow, exists: boolean, home: string): string {
  const { name, compiler } = row;
  const sourceName = sourceOf(row) ?? name;
  const source = statSync(join(home, "control", sourceName), { throwIfNoEntry: false });
  const remedy = `run ${compiler?.name}.`;
  if (!exists)
    return source
      ? `Oops! ${sourceName} exists but has not been compiled; ${remedy}`
      : `(Default.) ${row.missing}`;
  const compiled = statSync(join(home, "control", name));
  if (!source && compiler?.needsSource) return `Oops! ${name} exists but ${sourceName} does not.`;
  if (source && source.mtimeMs > compiled.mtimeMs)
    return `Oops! ${name} is older than ${sourceName}; ${remedy}`;
  return row.sentence("");
}
