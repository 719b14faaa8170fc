/** Runs what takes over a released post: ezmlm-send, or the program named on the command line. */
import { deriveHost } from "../../lib/derive-host.ts";
import { errorText, isTemporaryErrno, PermanentError, TemporaryError } from "../../lib/errors.ts";
import type { ExitCode } from "../../lib/exit-code.ts";
import type { MessageInput } from "../../lib/message-input.ts";
import { type ExitStatus, type Host, runProgram } from "../../lib/program.ts";
import { ezmlmSend } from "./ezmlm-send.ts";
import { childCode } from "./waiting-command.ts";

export interface ReleasedPost {
  readonly input: MessageInput;
  readonly sender: string;
  /** Program and arguments; one word is a command line for the shell; none is ezmlm-send. */
  readonly command: readonly string[];
  /** Options and DIR for ezmlm-send. */
  readonly sendArgs: readonly string[];
}

export async function runPostProgram(host: Host, post: ReleasedPost): Promise<ExitCode> {
  const env = { SENDER: post.sender };
  const [program, ...more] = post.command;
  if (program === undefined) {
    const inner = deriveHost(host, {
      args: post.sendArgs,
      stdin: post.input,
      env: { ...host.env, ...env },
    });
    return childCode({ code: await runProgram(ezmlmSend, inner) });
  }
  const options = { stdin: post.input, env };
  return childCode(
    more.length === 0
      ? await host.commands.shell(program, options)
      : await started(program, host.commands.exec(post.command, options)),
  );
}

async function started(program: string, running: Promise<ExitStatus>): Promise<ExitStatus> {
  try {
    return await running;
  } catch (error) {
    const text = `Unable to run ${program}: ${errorText(error)}.`;
    throw isTemporaryErrno(error)
      ? new TemporaryError(`${text} (#4.3.0)`, { cause: error })
      : new PermanentError(`${text} (#5.3.5)`, { cause: error });
  }
}
