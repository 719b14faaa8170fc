/**
 * NAME         mailsubj - send a text with a subject
 * SYNOPSIS     mailsubj subject recipient ...
 * DESCRIPTION  Puts a Subject and a To field before standard input and gives
 *              it to qmail-inject, which completes the header.
 * ENVIRONMENT  As qmail-inject.
 * EXIT CODES   As qmail-inject. 100 also for wrong use.
 * SEE ALSO     qmail-inject
 */
import { deriveHost } from "../../lib/derive-host.ts";
import { PermanentError } from "../../lib/errors.ts";
import { OptionTable } from "../../lib/option.ts";
import { type Program, runProgram } from "../../lib/program.ts";
import { prefixedInput } from "./prefixed-input.ts";
import { qmailInject } from "./qmail-inject.ts";

const options = new OptionTable("mailsubj", [], "subject recipient ...");

export const mailsubj: Program = {
  name: "mailsubj",
  usage: options.usage,
  async run(host) {
    const [subject, ...recipients] = host.args;
    if (subject === undefined || recipients.length === 0) throw options.error();
    if ([subject, ...recipients].some((word) => /[\r\n\0]/.test(word))) {
      throw new PermanentError("a line break in the subject or a recipient");
    }
    const header = `Subject: ${subject}\nTo: ${recipients.join(" ")}\n\n`;
    const stdin = prefixedInput(header, host.stdin);
    return runProgram(qmailInject, deriveHost(host, { args: ["-h"], stdin }));
  },
};
