/**
 * NAME         qmail-setup - make what a mail home lacks
 * SYNOPSIS     qmail-setup
 * DESCRIPTION  Makes the MTA home and in it control/, users/, alias/ and
 *              queue/ with its drop directory and trigger, and gives them
 *              their owners and modes. Run as root it also gives lists/ and
 *              queue/, and what in them is root's or their former owner's, to
 *              the uid that works there.
 *              A home without control/me becomes one to try things with:
 *              list.test is local, and mail for every other .test domain
 *              lands in alias/Maildir. A home without users/assign gets one
 *              where postmaster, mailer-daemon and root are read there and
 *              everybody else is looked up in lists/. What exists is never
 *              overwritten. control, alias and queue may be links: root
 *              follows one in a home of somebody else when root made it and
 *              it holds the full path of the place, or when the place
 *              belongs to the owner of the home.
 * ENVIRONMENT  QMAILHOME the MTA home; var/ of the checkout when unset.
 * FILES        control/me control/locals control/rcpthosts
 *              control/virtualdomains control/runas users/assign alias/
 *              queue/drop queue/lock/trigger
 * EXIT CODES   0 all there. 100 wrong use. 111 something cannot be made.
 * SEE ALSO     qmail-start, qmail-newu
 */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { errorText, TemporaryError } from "../../lib/errors.ts";
import { SUCCESS } from "../../lib/exit-code.ts";
import { OptionTable } from "../../lib/option.ts";
import type { Host, Program } from "../../lib/program.ts";
import { type Need, requireAccess } from "./access.ts";
import { giveAway } from "./give-away.ts";
import { type Identities, identities } from "./identity.ts";
import { HomeMaker } from "./make-home.ts";
import { newcomerUser } from "./welcome.ts";

const options = new OptionTable("qmail-setup", []);

export const qmailSetup: Program = {
  name: "qmail-setup",
  usage: options.usage,
  async run(host) {
    if (options.parse(host.args).rest.length > 0) throw options.error();
    const who = identities(host);
    if (host.uid === 0) checkReach(host, who);
    const maker = new HomeMaker(host.uid === 0);
    try {
      makeHome(host, who, maker);
    } catch (error) {
      if (error instanceof TemporaryError) throw error;
      const path = (error as NodeJS.ErrnoException).path ?? host.home;
      throw new TemporaryError(
        `cannot set up ${path}: ${errorText(error)}; mend it, or set QMAILHOME to a directory of yours`,
        { cause: error },
      );
    }
    if (maker.made.length > 0) {
      host.stdout.write(`qmail-setup: made ${maker.made.join(" ")} in ${host.home}\n`);
    }
    return SUCCESS;
  },
};

/** Nothing is made where the uid that is to work there could not even get to. */
function checkReach(host: Host, who: Identities): void {
  let above = dirname(host.home);
  while (!existsSync(above)) above = dirname(above);
  const needs: Need[] = [
    ["x", host.root],
    ["x", above],
  ];
  for (const owner of [who.queue, who.lists]) {
    requireAccess(owner, host, `mail (uid ${owner.uid})`, needs);
  }
}

function makeHome({ home, root, uid }: Host, who: Identities, maker: HomeMaker): void {
  const lists = join(root, "lists");
  for (const path of [home, lists]) {
    if (/[:\n]/.test(path)) {
      throw new TemporaryError(
        `${JSON.stringify(path)} has a colon in it; users/assign cannot name it`,
      );
    }
  }
  maker.root(home, who.home);
  for (const name of ["control", "users"]) maker.directory(name, 0o755, who.home);
  maker.directory("alias", 0o755, who.lists);
  maker.directory("queue", 0o711, who.queue);
  maker.directory("queue/lock", 0o755, who.queue);
  maker.directory("queue/drop", 0o3733, who.queue);
  for (const name of ["queue", "queue/lock"]) maker.passage(name);
  maker.fifo("queue/lock/trigger", 0o622, who.queue);
  maker.give("queue/lock/sendmutex", who.queue);
  maker.file("queue/lock/tcpto", "", who.timeouts);
  maker.outside(lists, 0o755, who.lists);
  const fresh = !maker.exists("control/me");
  if (fresh) makeNewcomerHome(maker, who);
  if (!maker.exists("users/assign")) makeAssign(home, lists, who, maker);
  if (uid !== 0) return;
  giveAway(lists, who.lists);
  // Whose a file in drop/ is says who injected it.
  giveAway(join(home, "queue"), who.queue, ["drop"]);
}

/** list.test is ours; every other .test domain is one Maildir, so that anybody there can be played. */
function makeNewcomerHome(maker: HomeMaker, who: Identities): void {
  maker.file("control/locals", "list.test\nlocalhost\n", who.home);
  maker.file("control/rcpthosts", "list.test\nlocalhost\n.test\n", who.home);
  maker.file("control/virtualdomains", `.test:${newcomerUser}\n`, who.home);
  maker.file(`alias/.qmail-${newcomerUser}-default`, "./Maildir/\n", who.lists);
  maker.maildir("alias/Maildir", who.lists);
  // Last: a home with `me` counts as made.
  maker.file("control/me", "list.test\n", who.home);
}

function makeAssign(home: string, lists: string, who: Identities, maker: HomeMaker): void {
  const { uid, gid } = who.lists;
  const ids = `alias:${uid}:${gid}`;
  const alias = join(home, "alias");
  const known = ["postmaster", "mailer-daemon", "root"];
  for (const name of known) maker.file(`alias/.qmail-${name}`, "./Maildir/\n", who.lists);
  maker.maildir("alias/Maildir", who.lists);
  const lines = [
    ...known.map((name) => `=${name}:${ids}:${alias}:-:${name}:`),
    `+${newcomerUser}-:${ids}:${alias}:-:${newcomerUser}-:`,
    `+:${ids}:${lists}:-::`,
    ".",
  ];
  maker.file("users/assign", `${lines.join("\n")}\n`, who.home);
}
