/**
 * NAME         mailq - list the queue
 * SYNOPSIS     mailq
 * DESCRIPTION  The name under which other mailers list their queue; as
 *              qmail-qread.
 * EXIT CODES   As qmail-qread.
 * SEE ALSO     qmail-qread, sendmail
 */
import { deriveHost } from "../../lib/derive-host.ts";
import type { Program } from "../../lib/program.ts";
import { qmailQread } from "../tools/qmail-qread.ts";

export const mailq: Program = {
  name: "mailq",
  usage: "mailq",
  run: (host) => qmailQread.run(deriveHost(host, { args: [] })),
};
