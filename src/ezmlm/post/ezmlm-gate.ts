/**
 * NAME         ezmlm-gate - post directly or moderate, as the sender deserves
 * SYNOPSIS     ezmlm-gate [-0cCmMpPrRsSyYQ] [-q file] DIR [db...]
 * DESCRIPTION  A message whose SENDER is in one of the databases goes to ezmlm-send, any other to
 *              ezmlm-store. Without databases and -q every message is moderated.
 *              With -q each line of the file (in DIR; `|` in front may stand, lines that begin with #
 *              do not count) is run by the shell with the message: exit code 0 goes on with the next
 *              line, 99 posts, 100 moderates, 111 defers, any other bounces. When all say 0 the
 *              databases decide; without databases the message is posted.
 * OPTIONS      -q file  see above.
 *              -0  only tell on stdout which program would run.
 *              -c -C -r -R -Q  given to either program; -m -M -p -P -s -S -y -Y  to ezmlm-store.
 * ENVIRONMENT  SENDER (required with databases).
 * EXIT CODES   0 done. 100 refused. 111 temporary.
 * SEE ALSO     ezmlm-send, ezmlm-store, ezmlm-issubn
 */
import { deriveHost } from "../../lib/derive-host.ts";
import { PermanentError, TemporaryError } from "../../lib/errors.ts";
import { type ExitCode, SUCCESS } from "../../lib/exit-code.ts";
import { OptionTable } from "../../lib/option.ts";
import { type Host, type Program, runProgram } from "../../lib/program.ts";
import { type List, openList } from "../list/list.ts";
import { readSender } from "../list/sender.ts";
import { catalogue } from "../reply/texts.ts";
import { ezmlmSend } from "./ezmlm-send.ts";
import { ezmlmStore } from "./ezmlm-store.ts";
import { rereadable } from "./incoming.ts";
import { childCode } from "./waiting-command.ts";

const forBoth = "cCrRQ";
const forStore = "mMpPsSyY";

const options = new OptionTable(
  "ezmlm-gate",
  [
    { letter: "0", help: "only tell what would run" },
    ...[...forBoth].map((letter) => ({ letter, help: "given to either program" })),
    ...[...forStore].map((letter) => ({ letter, help: "given to ezmlm-store" })),
    { letter: "q", argument: "file", help: "commands that judge the message" },
  ],
  "DIR [db...]",
);

export const ezmlmGate: Program = {
  name: "ezmlm-gate",
  usage: options.usage,
  runAs: (host) => options.parse(host.args).rest[0],
  async run(given: Host): Promise<ExitCode> {
    const parsed = options.parse(given.args);
    const [dir, ...databases] = parsed.rest;
    if (dir === undefined) throw options.error();
    const host = deriveHost(given, { stdin: await rereadable(given.stdin) });
    const list = await openList(host, dir);
    let posts: boolean;
    try {
      const file = parsed.value("q");
      const word = file === undefined ? undefined : await judge(host, list, file);
      if (word !== undefined) posts = word === "post";
      else if (databases.length > 0) posts = await isKnown(host, list, databases);
      else posts = file !== undefined;
    } finally {
      list.close();
    }
    const passed = (letters: string): string[] =>
      [...letters].filter((letter) => parsed.count(letter) > 0).map((letter) => `-${letter}`);
    const program = posts ? ezmlmSend : ezmlmStore;
    // -Q means something to ezmlm-send only.
    const args = posts
      ? [...passed(forBoth), dir]
      : [...passed(forBoth.replace("Q", "") + forStore), dir];
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
  if (sender === "") return false;
  for (const name of databases) {
    if ((await list.db(name).has(sender)) !== undefined) return true;
  }
  return false;
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
