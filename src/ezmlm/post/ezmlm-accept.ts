/**
 * NAME         ezmlm-accept - send posts that wait for a moderator, from the shell
 * SYNOPSIS     ezmlm-accept DIR file...
 * DESCRIPTION  Gives each file (as a rule DIR/mod/pending/...) to ezmlm-send, with the sender its first
 *              line names, and removes it when it was sent. Files whose owner-exec bit is not set are
 *              not complete and are left alone.
 * ENVIRONMENT  None.
 * FILES        mod/lock
 * EXIT CODES   0 all sent. 100 one was refused. 111 temporary; what was not sent is still there.
 * SEE ALSO     ezmlm-moderate, ezmlm-send
 */

import { rmSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { type ExitCode, SUCCESS } from "../../lib/exit-code.ts";
import { fileInput } from "../../lib/message-input.ts";
import { OptionTable } from "../../lib/option.ts";
import type { Host, Program } from "../../lib/program.ts";
import { openList } from "../list/list.ts";
import { runPostProgram } from "./run-post-program.ts";
import { storedSender } from "./waiting-room.ts";

const options = new OptionTable("ezmlm-accept", [], "DIR file...");

export const ezmlmAccept: Program = {
  name: "ezmlm-accept",
  usage: options.usage,
  runAs: (host) => options.parse(host.args).rest[0],
  async run(host: Host): Promise<ExitCode> {
    const [dir, ...files] = options.parse(host.args).rest;
    if (dir === undefined || files.length === 0) throw options.error();
    const list = await openList(host, dir);
    try {
      return await list.withLock("mod/lock", async () => {
        for (const file of files) {
          const path = resolve(host.cwd, file);
          const stats = statSync(path, { throwIfNoEntry: false });
          if (!stats?.isFile() || (stats.mode & 0o100) === 0) {
            host.stderr.write(`ezmlm-accept: warning: ${file} is no post that waits\n`);
            continue;
          }
          const input = fileInput(path);
          const sender = await storedSender(path);
          const code = await runPostProgram(host, { input, sender, command: [], sendArgs: [dir] });
          if (code !== SUCCESS) return code;
          rmSync(path);
        }
        return SUCCESS;
      });
    } finally {
      list.close();
    }
  },
};
