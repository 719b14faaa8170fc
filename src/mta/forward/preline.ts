/**
 * NAME         preline - prepend lines to a message
 * SYNOPSIS     preline [-dDfFrR] program [arg...]
 * DESCRIPTION  In a .qmail file: feeds program the From_ line, Return-Path, Delivered-To and the
 *              message. For programs that expect what sendmail gives them, as procmail.
 * OPTIONS      -f  no From_ line
 *              -F  From_ line (default)
 *              -r  no Return-Path
 *              -R  Return-Path (default)
 *              -d  no Delivered-To
 *              -D  Delivered-To (default)
 * ENVIRONMENT  UFLINE, RPLINE and DTLINE, set by qmail-local.
 * EXIT CODES   Those of program. 100 wrong usage, a missing variable, or program cannot be run. 111
 *              program crashed or cannot be run now.
 * SEE ALSO     qmail-local
 */
import { errorText, isTemporaryErrno, PermanentError, TemporaryError } from "../../lib/errors.ts";
import type { MessageInput } from "../../lib/message-input.ts";
import { OptionTable } from "../../lib/option.ts";
import type { Host, Program } from "../../lib/program.ts";

const options = new OptionTable(
  "preline",
  [
    { letter: "f", help: "no From_ line" },
    { letter: "F", negates: "f", help: "From_ line (default)" },
    { letter: "r", help: "no Return-Path" },
    { letter: "R", negates: "r", help: "Return-Path (default)" },
    { letter: "d", help: "no Delivered-To" },
    { letter: "D", negates: "d", help: "Delivered-To (default)" },
  ],
  "program [arg...]",
);

export const preline: Program = {
  name: "preline",
  usage: options.usage,
  async run(host) {
    const { flag, rest } = options.parse(host.args);
    const { UFLINE, RPLINE, DTLINE } = host.env;
    if (rest.length === 0 || UFLINE === undefined || RPLINE === undefined || DTLINE === undefined) {
      throw options.error();
    }
    const lines = [flag("f") ? "" : UFLINE, flag("r") ? "" : RPLINE, flag("d") ? "" : DTLINE];
    const stdin = withLines(lines.join(""), host.stdin);
    const status = await start(host, rest, stdin);
    if (status.signal !== undefined) throw new TemporaryError("Child crashed.");
    return status.code;
  },
};

async function start(host: Host, argv: readonly string[], stdin: MessageInput) {
  try {
    return await host.commands.exec(argv, { stdin });
  } catch (error) {
    const text = `Unable to run ${argv[0]}: ${errorText(error)}.`;
    if (isTemporaryErrno(error)) throw new TemporaryError(text, { cause: error });
    throw new PermanentError(text, { cause: error });
  }
}

function withLines(lines: string, message: MessageInput): MessageInput {
  return {
    async *chunks() {
      if (lines !== "") yield Buffer.from(lines);
      yield* message.chunks();
    },
  };
}
