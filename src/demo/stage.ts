/** What the audience of the demo sees: titles, typed commands, mail sent and received. */
import type { Output } from "../lib/program.ts";
import type { Letter, Received } from "./mail.ts";

export class Stage {
  private readonly out: Output;
  private readonly colour: boolean;

  constructor(out: Output, colour: boolean) {
    this.out = out;
    this.colour = colour;
  }

  private paint(code: string, text: string): string {
    return this.colour ? `\x1b[${code}m${text}\x1b[0m` : text;
  }

  title(text: string): void {
    this.out.write(
      `\n${this.paint("1;36", `== ${text} ${"=".repeat(Math.max(0, 74 - text.length))}`)}\n\n`,
    );
  }

  say(text: string): void {
    this.out.write(`${text}\n`);
  }

  typed(line: string): void {
    this.out.write(`${this.paint("1", `$ ${line}`)}\n`);
  }

  quote(text: string): void {
    for (const line of text.split("\n")) this.out.write(`    ${line}\n`);
  }

  sent(letter: Letter): void {
    const shown = this.paint("33", `-> ${letter.sender ?? letter.from} mails ${letter.to}`);
    this.out.write(`${shown}${letter.subject ? `   "${letter.subject}"` : ""}\n`);
  }

  /** A mail as its reader sees it; `brief` shows one line. */
  received(reader: string, { mail }: Received, brief: boolean): void {
    this.out.write(
      `${this.paint("32", `<- ${reader} gets`)} "${printable(mail.subject ?? "")}" from ${printable(mail.from?.text ?? "")}\n`,
    );
    if (brief) return;
    const bar = this.paint("32", "|");
    if (mail.replyTo)
      this.out.write(`   ${bar} Reply-To: ${printable(mail.replyTo.text)}\n   ${bar}\n`);
    const lines = (mail.text ?? "").trimEnd().split("\n");
    for (const line of lines.slice(0, 24)) this.out.write(`   ${bar} ${printable(line)}\n`);
    if (lines.length > 24) this.out.write(`   ${bar} … ${lines.length - 24} more lines\n`);
    for (const part of mail.attachments)
      this.out.write(`   ${bar} [enclosed: ${printable(part.filename ?? part.contentType)}]\n`);
  }
}

/** Mail is a stranger's text: no control characters reach the terminal. */
function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not pass.
  return text.replace(/[\x00-\x1f\x7f-\x9f]/g, "?");
}
