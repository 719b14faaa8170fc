/**
 * The text a person wrote in a mail, whatever the mail program made of it: charset and transfer
 * encoding decoded, the text part of a multipart, HTML as text. The only file that knows mailparser;
 * it is loaded when called.
 */

/** More blanks in a row than anybody writes; libqp needs time with the square of their number. */
const MANY_BLANKS = /[ \t]{500,}/g;

/** Text of the message, line ends as LF. Never used for mail that is passed on. */
export async function readMailText(bytes: Buffer): Promise<string> {
  const { simpleParser } = await import("mailparser");
  const short = Buffer.from(bytes.toString("latin1").replace(MANY_BLANKS, " "), "latin1");
  const parsed = await simpleParser(short, { skipImageLinks: true, skipTextLinks: true });
  return (parsed.text ?? "").replaceAll("\r\n", "\n");
}
