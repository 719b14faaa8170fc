/**
 * NAME         qmail-local - deliver or forward a mail message
 * SYNOPSIS     qmail-local [-nN] user homedir local dash ext domain sender defaultdelivery
 * DESCRIPTION  Reads a message from standard input and delivers it to local@domain by the
 *              instructions in homedir/.qmail<dash><ext>, in the -default file of the longest
 *              matching prefix, or, when that file is empty or the bare user has none, by
 *              defaultdelivery. Runs as the user. In a running system the local workers do the
 *              same inside long-lived processes.
 * OPTIONS      -n  print what would be done, deliver nothing
 *              -N  deliver (default)
 * ENVIRONMENT  Commands get SENDER NEWSENDER RECIPIENT LOCAL HOST HOST2 HOST3 HOST4 EXT EXT2
 *              EXT3 EXT4 DEFAULT USER HOME DTLINE RPLINE UFLINE. Their values come from strangers.
 * FILES        homedir/.qmail*
 * EXIT CODES   0 delivered. 100 permanent failure, or wrong usage. 111 temporary failure.
 * DIAGNOSTICS  On success `did F+W+P` (files, forwards, programs), then `qp N` if something was
 *              forwarded.
 * SECURITY     A home or .qmail file that others may write, or a sticky home, defers the mail.
 * SEE ALSO     qmail-lspawn, maildirmake, forward, preline
 */
import { hostname, tmpdir } from "node:os";
import { OptionTable } from "../../lib/option.ts";
import type { Host, Program } from "../../lib/program.ts";
import { SMALL_BODY } from "../channel/protocol.ts";
import { type DeliverySite, planDelivery, reportFailure, runDelivery } from "./delivery.ts";
import { MaildirWriter } from "./maildir.ts";
import { MaildirNames } from "./maildir-names.ts";
import { StoredMessage } from "./stored-message.ts";

const options = new OptionTable(
  "qmail-local",
  [
    { letter: "n", help: "print what would be done, deliver nothing" },
    { letter: "N", negates: "n", help: "deliver (default)" },
  ],
  "user homedir local dash ext domain sender defaultdelivery",
);

export const qmailLocal: Program = {
  name: "qmail-local",
  usage: options.usage,
  async run(host) {
    const { flag, rest } = options.parse(host.args);
    const [user, home, local, dash, ext, domain, sender, defaultDelivery] = rest;
    if (
      rest.length !== 8 ||
      user === undefined ||
      local === undefined ||
      dash === undefined ||
      ext === undefined ||
      domain === undefined ||
      sender === undefined ||
      defaultDelivery === undefined ||
      !home?.startsWith("/")
    ) {
      throw options.error();
    }
    const dryRun = flag("n") ?? false;
    const address = { user, home, local, dash, ext, domain, sender };
    try {
      const plan = planDelivery(address, defaultDelivery, { dryRun });
      const directory = host.env.TMPDIR || tmpdir();
      const message = dryRun
        ? StoredMessage.of(Buffer.alloc(0), directory)
        : await StoredMessage.from(host.stdin.chunks(), directory, SMALL_BODY);
      try {
        return await runDelivery(plan, {
          site: site(host),
          message,
          output: host.stdout,
          errors: host.stderr,
          signal: host.signal,
          deliveryKey: host.deliveryKey,
          dryRun,
        });
      } finally {
        message.close();
      }
    } catch (error) {
      return reportFailure(error, host.stderr);
    }
  },
};

function site(host: Host): DeliverySite {
  const now = (): Date => host.now();
  return {
    findProgram: undefined,
    queue: host.queue,
    home: host.home,
    root: host.root,
    uid: host.uid,
    gid: host.gid,
    pid: host.pid,
    signalGroup: host.signalGroup,
    env: host.env,
    maildirs: new MaildirWriter(new MaildirNames(host.pid, hostname()), now),
    now,
  };
}
