/**
 * NAME         ezmlm-gate - post directly or moderate, as the sender deserves
 * SYNOPSIS     ezmlm-gate [-0cCmMpPQrRsSvVyY] [-q file] DIR [db...]
 * DESCRIPTION  A message whose SENDER is in one of the databases goes to ezmlm-send, any other to
 *              ezmlm-store. Without databases and -q every message is moderated.
 *              With -q each line of the file (in DIR; `|` in front may stand, lines that begin with #
 *              do not count) is run by the shell with the message: exit code 0 goes on with the next
 *              line, 99 posts, 100 moderates, 111 defers, any other bounces. When all say 0 the
 *              databases decide; without databases the message is posted.
 * OPTIONS      -q file  see above.
 *              -0  only tell on stdout which program would run.
 *              -Q  accepted, without effect.
 *              -c -C -r -R  given to either program; -m -M -p -P -s -S -y -Y  to ezmlm-store.
 *              -v, -V  print the version.
 * ENVIRONMENT  SENDER (required with databases).
 * FILES        the databases, the file of -q; those of ezmlm-send and ezmlm-store
 * EXIT CODES   0 done. 100 refused. 111 temporary.
 * SEE ALSO     ezmlm-send, ezmlm-store, ezmlm-issubn
 */
import { deriveHost } from "../../lib/derive-host.ts";
import { PermanentError, TemporaryError } from "../../lib/errors.ts";
import { type ExitCode, SUCCESS } from "../../lib/exit-code.ts";
import { rereadable } from "../../lib/message-input.ts";
import { OptionTable } from "../../lib/option.ts";
import { type Host, type Program, runProgram } from "../../lib/program.ts";
import { type List, openList } from "../list/list.ts";
import { readSender } from "../list/sender.ts";
import { printVersion, versionRows, wantsVersion } from "../list/version.ts";
import { catalogue } from "../reply/texts.ts";
import { isInAny } from "../subscribers/membership.ts";
import { ezmlmSend } from "./ezmlm-send.ts";
import { ezmlmStore } from "./ezmlm-store.ts";
import { forSend, optionPair, passedOptions } from "./passed-options.ts";
import { childCode } from "./waiting-command.ts";

const forStore = ["m", "p", "s", "y"];

const options = new OptionTable(
  "ezmlm-gate",
  [
    { letter: "0", help: "only tell what would run" },
    ...forSend.flatMap((letter) => optionPair(letter, "given to either program")),
    ...forStore.flatMap((letter) => optionPair(letter, "given to ezmlm-store")),
    { letter: "Q", help: "no effect", ignored: true },
    { letter: "q", argument: "file", help: "commands that judge the message" },
    ...versionRows,
  ],
  "DIR [db...]",
);

export const ezmlmGate: Program = {
  name: "ezmlm-gate",
  usage: options.usage,
  runAs: (host) => options.parse(host.args).rest[0],
  async run(given: Host): Promise<ExitCode> {
    const parsed = options.parse(given.args);
    if (wantsVersion(parsed)) return printVersion(given);
    const [dir, ...databases] = parsed.rest;
    if (dir === undefined) throw options.error();
    const file = parsed.value("q");
    // Commands read the message, and so does who comes after them.
    const host =
      file === undefined ? given : deriveHost(given, { stdin: await rereadable(given.stdin) });
    const list = await openList(host, dir);
    let posts: boolean;
    try {
      const word = file === undefined ? undefined : await judge(host, list, file);
      if (word !== undefined) posts = word === "post";
      else if (databases.length > 0) posts = await isKnown(host, list, databases);
      else posts = file !== undefined;
    } finally {
      list.close();
    }
    const program = posts ? ezmlmSend : ezmlmStore;
    const args = [...passedOptions(parsed, posts ? forSend : [...forSend, ...forStore]), dir];
    if (parsed.flag("0")) {
      host.stdout.write(`${program.name} ${args.join(" ")}\n`);
      return SUCCESS;
    }
    return childCode({ code: await runProgram(program, deriveHost(host, { args })) });
  },
};

async function isKnown(host: Host, list: List, databases: readonly string[]): Promise<boolean> {
  const sender = readSender(host);
  if (sender === undefined) throw new PermanentError("SENDER is not set. (#5.3.5)");
  return sender !== "" && (await isInAny(list, databases, sender));
}

/** What the commands of a file say; undefined when they leave it open. */
async function judge(
  host: Host,
  list: List,
  file: string,
): Promise<"post" | "moderate" | undefined> {
  const lines = list.rawText(file)?.toString("utf8").split("\n");
  if (!lines) throw new PermanentError(`${list.path(file)} does not exist. (#5.3.5)`);
  for (const raw of lines) {
    const line = raw.trim().replace(/^\|\s*/, "");
    if (line === "" || line.startsWith("#")) continue;
    const status = await host.commands.shell(line, { stdin: host.stdin });
    if (status.signal !== undefined) {
      throw new TemporaryError(`A command in ${file} was killed. (#4.3.0)`);
    }
    if (status.code === 99) return "post";
    if (status.code === 100) return "moderate";
    if (status.code === 111) throw new TemporaryError(`A command in ${file} defers. (#4.3.0)`);
    if (status.code !== SUCCESS) throw new PermanentError(catalogue(host, list, "ERR_REJECT"));
  }
  return undefined;
}
