/**
 * The text a person wrote in a mail, whatever the mail program made of it: charset and transfer
 * encoding decoded, the text part of a multipart, HTML as text. The only file that knows mailparser;
 * it is loaded when called.
 */

/** Text of the message, line ends as LF. Never used for mail that is passed on. */
export async function readMailText(bytes: Buffer): Promise<string> {
  const { simpleParser } = await import("mailparser");
  const parsed = await simpleParser(bytes, { skipImageLinks: true, skipTextLinks: true });
  return (parsed.text ?? "").replaceAll("\r\n", "\n");
}
