/**
 * NAME         sendmail - the command line every mail program knows
 * SYNOPSIS     sendmail [-tim] [-f sender] [-F name] [-bm|-bs|-bp] [recipient ...]
 * DESCRIPTION  Queues the message on standard input as qmail-inject does. A
 *              line with a lone dot never ends the message. With -t the
 *              header names recipients, in addition to the arguments. -bs
 *              speaks SMTP on standard input and output, -bp lists the queue.
 * OPTIONS      -t recipients from the header. -f, -r sender. -F full name.
 *              -bm (default) -bs -bp as above. Accepted and ignored: -i -m -v
 *              -x -n -U -G, -q with or without text, and with an argument -e
 *              -o -p -B -N -R -V -L -O -A -C -h -X.
 * ENVIRONMENT  As qmail-inject and, with -bs, qmail-smtpd.
 * EXIT CODES   As qmail-inject. 100 also for wrong use.
 * SEE ALSO     qmail-inject, qmail-smtpd, qmail-qread, mailq, newaliases
 */
import { join } from "node:path";
import { deriveHost } from "../../lib/derive-host.ts";
import { type ExitCode, SUCCESS } from "../../lib/exit-code.ts";
import { OptionTable } from "../../lib/option.ts";
import { type Environment, type Host, type Program, runProgram } from "../../lib/program.ts";
import { qmailQread } from "../tools/qmail-qread.ts";
import { qmailInject } from "./qmail-inject.ts";

const ignored = (letter: string, argument?: string) => ({
  letter,
  help: "ignored",
  ignored: true,
  ...(argument !== undefined && { argument }),
});

const options = new OptionTable(
  "sendmail",
  [
    { letter: "t", help: "recipients from the header, too" },
    { letter: "f", argument: "sender", help: "sender of the envelope" },
    { letter: "r", argument: "sender", help: "as -f" },
    { letter: "F", argument: "name", help: "full name of the sender" },
    { letter: "b", argument: "mode", help: "m: queue, s: SMTP, p: list the queue" },
    ..."imvxnUG".split("").map((letter) => ignored(letter)),
    ..."eopBNRVLOACXh".split("").map((letter) => ignored(letter, "text")),
  ],
  "[recipient ...]",
);

export const sendmail: Program = {
  name: "sendmail",
  usage: options.usage,
  readsFirst: true,
  async run(host) {
    const given = options.parse(withoutOptionalText(host.args));
    const mode = given.value("b") ?? "m";
    if (mode === "p") return runProgram(qmailQread, deriveHost(host, { args: [] }));
    if (mode === "s") return speakSmtp(host);
    if (mode !== "m") throw options.error();
    const named = given.rest.length > 0 || given.flag("t");
    // A queue run is asked for, not a message: qmail-send looks after the queue by itself.
    if (!named && host.args.some((word) => word.startsWith("-q"))) return SUCCESS;
    const sender = given.value("f") ?? given.value("r");
    const args = [given.flag("t") ? "-H" : "-a"];
    if (sender !== undefined) args.push("-f", sender);
    const env = {
      ...host.env,
      ...senderEnvironment(sender),
      ...nameEnvironment(given.value("F")),
    };
    return runProgram(qmailInject, deriveHost(host, { args: [...args, "--", ...given.rest], env }));
  },
};

/** `-q`, `-qTEXT` and `-d…`, `-E…` to `-J…` carry text or none; a table row cannot say that. */
function withoutOptionalText(args: readonly string[]): string[] {
  const end = args.findIndex((word) => word === "--" || !word.startsWith("-") || word === "-");
  const flags = end < 0 ? args : args.slice(0, end);
  return [...flags.filter((word) => !/^-[qdEHIJ]/.test(word)), ...(end < 0 ? [] : args.slice(end))];
}

/** A given sender also becomes From: user and host of it, and no full name of somebody else. */
function senderEnvironment(sender: string | undefined): Environment {
  if (sender === undefined) return {};
  const at = sender.lastIndexOf("@");
  return {
    QMAILNAME: undefined,
    MAILNAME: undefined,
    NAME: undefined,
    QMAILHOST: at < 0 ? undefined : sender.slice(at + 1),
    MAILHOST: undefined,
    QMAILUSER: at < 0 ? sender : sender.slice(0, at),
  };
}

function nameEnvironment(name: string | undefined): Environment {
  return name === undefined ? {} : { MAILNAME: name, QMAILNAME: undefined };
}

/** The caller is one of our own users: it may relay, and there is no limit on the size. */
function smtpEnvironment(env: Environment): Environment {
  if (env.PROTO) return {};
  return {
    RELAYCLIENT: "",
    DATABYTES: "0",
    PROTO: "TCP",
    TCPLOCALIP: "127.0.0.1",
    TCPLOCALHOST: "localhost",
    TCPREMOTEIP: "127.0.0.1",
    TCPREMOTEHOST: "localhost",
    TCPREMOTEINFO: "sendmail-bs",
  };
}

/** qmail-smtpd wants the streams to itself, so it gets a process. */
async function speakSmtp(host: Host): Promise<ExitCode> {
  const env = smtpEnvironment(host.env);
  const { code } = await host.commands.exec([join(host.root, "bin", "qmail-smtpd")], { env });
  return code;
}
