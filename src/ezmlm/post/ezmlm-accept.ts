/**
 * NAME         ezmlm-accept - send posts that wait for a moderator, from the shell
 * SYNOPSIS     ezmlm-accept DIR file...
 * DESCRIPTION  Gives each file (as a rule DIR/mod/pending/...) to ezmlm-send, with the sender its first
 *              line names, and removes it when it was sent. Files whose owner-exec bit is not set are
 *              not complete and are left alone; so are those that ezmlm-send refuses. A moderator who
 *              decides later on a post of mod/pending learns that it was accepted.
 * ENVIRONMENT  None.
 * FILES        mod/lock mod/accepted/
 * EXIT CODES   0 all sent. 100 one was refused. 111 temporary; what was not sent is still there.
 * SEE ALSO     ezmlm-moderate, ezmlm-send
 */
import { rmSync, statSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { type ExitCode, SUCCESS, TEMPORARY } from "../../lib/exit-code.ts";
import { fileInput } from "../../lib/message-input.ts";
import { OptionTable, type ParsedOptions } from "../../lib/option.ts";
import type { Host } from "../../lib/program.ts";
import type { List } from "../list/list.ts";
import { listProgram } from "../list/list-program.ts";
import { runPostProgram } from "./run-post-program.ts";
import { isWaiting, storedSender, writeDecision } from "./waiting-room.ts";

const options = new OptionTable("ezmlm-accept", [], "DIR file...");

export const ezmlmAccept = listProgram(
  options,
  async (host, list, _parsed, files) => {
    return await list.withLock("mod/lock", async () => {
      let refused: ExitCode = SUCCESS;
      for (const file of files) {
        const code = await accept(host, list, resolve(host.cwd, file));
        if (code === TEMPORARY) return code;
        if (code !== SUCCESS) refused = code;
      }
      return refused;
    });
  },
  { operands: Number.POSITIVE_INFINITY, check: requireFile },
);

function requireFile(parsed: ParsedOptions): void {
  if (parsed.rest.length < 2) throw options.error();
}

async function accept(host: Host, list: List, path: string): Promise<ExitCode> {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (!stats?.isFile() || (stats.mode & 0o100) === 0) {
    host.stderr.write(`ezmlm-accept: warning: ${path} is no post that waits\n`);
    return SUCCESS;
  }
  const input = fileInput(path);
  const sender = await storedSender(path);
  const sendArgs = [list.dirArgument];
  const code = await runPostProgram(host, { input, sender, command: [], sendArgs });
  if (code !== SUCCESS) return code;
  const name = basename(path);
  if (isWaiting(list, "pending", name) && dirname(path) === list.path("mod", "pending")) {
    writeDecision(list, "accepted", name, "");
  }
  rmSync(path);
  return SUCCESS;
}
