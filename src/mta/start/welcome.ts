/** What a newcomer reads when everything is up: where mail comes in and how to try a list. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Control } from "../../lib/control.ts";
import type { Host } from "../../lib/program.ts";

/** Prefix of the virtual domain that catches the people of `.test`. */
export const newcomerUser = "anyone";

export function newcomerMaildir(home: string): string {
  return join(home, "alias", "Maildir");
}

/** Whether this home is the one qmail-setup makes for trying things out. */
export function isNewcomerHome(home: string): boolean {
  const domains = new Control(home).map("virtualdomains");
  const file = join(home, "alias", `.qmail-${newcomerUser}-default`);
  return domains?.get(".test") === newcomerUser && existsSync(file);
}

export function newcomerLines(
  host: Pick<Host, "home" | "root">,
  listening: readonly string[],
): string[] {
  const lines = listening.map((address) => `SMTP on ${address}`);
  if (!isNewcomerHome(host.home)) return lines;
  const me = new Control(host.home).line("me") ?? "list.test";
  const { root } = host;
  // Another terminal knows nothing of our environment.
  const isUsual = host.home === join(root, "var");
  const elsewhere = isUsual ? "" : `QMAILHOME='${host.home.replaceAll("'", "'\\''")}' `;
  return [
    ...lines,
    `mail to postmaster and to anybody at another .test domain lands in ${newcomerMaildir(host.home)}`,
    "try it: make a list, join as ann@anything.test, post, read her mail:",
    `  ${root}/bin/ezmlm-make ${root}/lists/club ${root}/lists/.qmail-club club ${me}`,
    `  ${root}/bin/ezmlm-sub ${root}/lists/club ann@anything.test`,
    `  printf 'From: ann@anything.test\\nTo: club@${me}\\nSubject: hello\\n\\nhello\\n' | ${elsewhere}${root}/bin/qmail-inject -f ann@anything.test`,
    `  cat ${newcomerMaildir(host.home)}/new/*`,
  ];
}
