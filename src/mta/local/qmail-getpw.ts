/**
 * NAME         qmail-getpw - give addresses to users
 * SYNOPSIS     qmail-getpw local
 * DESCRIPTION  Prints user, uid, gid, home, dash and extension of the system account that controls
 *              the local part, each followed by NUL: the account of that name, or of the part before
 *              a dash, if it is not root and owns its home; else alias.
 * EXIT CODES   0 found. 100 wrong usage. 115 a home cannot be reached now. 116 there is no alias
 *              account. 121 the accounts cannot be asked.
 * SEE ALSO     qmail-lspawn, qmail-newu
 */
import { SUCCESS } from "../../lib/exit-code.ts";
import { OptionTable } from "../../lib/option.ts";
import type { Program } from "../../lib/program.ts";
import { LookupTrouble, lookUpAccount, SystemAccounts } from "./system-accounts.ts";

const options = new OptionTable("qmail-getpw", [], "local");

export const qmailGetpw: Program = {
  name: "qmail-getpw",
  usage: options.usage,
  async run(host) {
    const [local] = options.parse(host.args).rest;
    if (local === undefined) throw options.error();
    try {
      const owner = await lookUpAccount(new SystemAccounts(), local);
      const { user, uid, gid, home, dash, ext } = owner;
      host.stdout.write([user, uid, gid, home, dash, ext].map((field) => `${field}\0`).join(""));
      return SUCCESS;
    } catch (error) {
      if (error instanceof LookupTrouble) return error.code;
      throw error;
    }
  },
};
