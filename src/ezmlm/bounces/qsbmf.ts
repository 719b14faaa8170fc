/**
 * Recipients named in a bounce of qmail-send (qmail-send bounce message format): a paragraph that
 * begins `Hi. This is the`, then one per recipient beginning `<address>:`, until a paragraph that
 * begins with a hyphen.
 */

export interface FailedRecipient {
  readonly recipient: string;
  /** Paragraph about this one and no other. */
  readonly text: string;
}

/** Who failed; undefined when `body` is not in this format. */
export function qsbmfRecipients(body: Buffer): FailedRecipient[] | undefined {
  const text = body.toString("utf8").replaceAll("\r\n", "\n").replace(/^\n+/, "");
  if (!text.startsWith("Hi. This is the")) return undefined;
  const found: FailedRecipient[] = [];
  for (const paragraph of text.split(/\n{2,}/).slice(1)) {
    if (paragraph.startsWith("-")) break;
    const recipient = /^<(.+)>:(?:\n|$)/.exec(paragraph)?.[1];
    if (recipient !== undefined) found.push({ recipient, text: `${paragraph}\n` });
  }
  return found;
}
