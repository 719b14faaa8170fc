/** The demo's mail client: sends over SMTP with nodemailer, reads the Maildir with mailparser. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type ParsedMail, simpleParser } from "mailparser";
import { createTransport } from "nodemailer";
import type { DemoSite } from "./site.ts";

export interface Letter {
  readonly from: string;
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  /** Envelope sender when it is not `from`; "" for a bounce. */
  readonly sender?: string;
}

export interface Received {
  readonly mail: ParsedMail;
  /** Envelope sender, from Return-Path. */
  readonly sender: string;
  /** Header and body as they lie in the Maildir. */
  readonly source: string;
}

/** Hand a letter in at the server's SMTP port. */
export async function send(site: DemoSite, letter: Letter): Promise<void> {
  const transport = createTransport({
    host: "127.0.0.1",
    port: site.port,
    secure: false,
    ignoreTLS: true,
    name: "demo.test",
  });
  const { from, to, subject, text } = letter;
  await transport.sendMail({
    from,
    to,
    subject,
    text,
    envelope: { from: letter.sender ?? from, to: [to] },
  });
  transport.close();
}

/** Wait for the next mail to `reader` that is not in `seen`, and note it there. */
export async function receive(
  site: DemoSite,
  reader: string,
  seen: Set<string>,
): Promise<Received> {
  let found: { name: string; source: string } | undefined;
  await site.waitFor(`mail for ${reader}`, () => {
    for (const name of site.arrived()) {
      if (seen.has(name)) continue;
      const source = readFileSync(join(site.mailbox, "new", name), "latin1");
      // The prepend of the virtual domain is part of Delivered-To.
      if (!source.includes(`\nDelivered-To: readers-${reader}\n`)) continue;
      found = { name, source };
      return true;
    }
    return false;
  });
  const { name, source } = found as { name: string; source: string };
  seen.add(name);
  const sender = /^Return-Path: <(.*)>/.exec(source)?.[1] ?? "";
  return { mail: await simpleParser(Buffer.from(source, "latin1")), sender, source };
}
