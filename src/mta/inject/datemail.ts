/**
 * NAME         datemail - sendmail with a Date field in local time
 * SYNOPSIS     datemail [sendmail options] [recipient ...]
 * DESCRIPTION  As predate sendmail: the message gets a Date field in the local
 *              time zone before sendmail takes it.
 * EXIT CODES   As sendmail.
 * SEE ALSO     predate, sendmail
 */
import { deriveHost } from "../../lib/derive-host.ts";
import { type Program, runProgram } from "../../lib/program.ts";
import { datedInput } from "./predate.ts";
import { sendmail } from "./sendmail.ts";

export const datemail: Program = {
  name: "datemail",
  usage: "datemail [sendmail options] [recipient ...]",
  run: (host) => runProgram(sendmail, deriveHost(host, { stdin: datedInput(host) })),
};
