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

/** More than the failures of any post to a real list; each costs a look into the list's people. */
const RECIPIENT_LIMIT = 100_000;

/** Who failed, read as far as it is asked for; undefined when `body` is not in this format. */
export function qsbmfRecipients(body: Buffer): Iterable<FailedRecipient> | undefined {
  const text = body.toString("utf8").replaceAll("\r\n", "\n").replace(/^\n+/, "");
  return text.startsWith("Hi. This is the") ? recipientsIn(text) : undefined;
}

function* recipientsIn(text: string): Generator<FailedRecipient> {
  let found = 0;
  for (const paragraph of laterParagraphs(text)) {
    if (paragraph.startsWith("-")) return;
    const recipient = /^<(.+)>:(?:\n|$)/.exec(paragraph)?.[1];
    if (recipient === undefined) continue;
    yield { recipient, text: `${paragraph}\n` };
    if (++found === RECIPIENT_LIMIT) return;
  }
}

/** What empty lines part, without the first; whose bounce has millions of them gets no array of them. */
function* laterParagraphs(text: string): Generator<string> {
  for (let gap = text.indexOf("\n\n"); gap >= 0; ) {
    let start = gap + 2;
    while (text[start] === "\n") start++;
    gap = text.indexOf("\n\n", start);
    yield text.slice(start, gap < 0 ? undefined : gap);
  }
}
