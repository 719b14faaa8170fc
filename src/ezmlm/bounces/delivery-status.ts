/**
 * Recipients named in a delivery status notification, read tolerantly: blank lines missing or
 * doubled, base64 parts, fields in any case. RFC 3464 (RFC 6533 for `message/global-…`).
 */
import { asciiLower } from "../../lib/address.ts";
import { fieldText, findField, parseHeader } from "../../lib/header.ts";
import type { ContentType } from "../post/content-type.ts";
import { mimeParts } from "../post/message-text.ts";
import { topType } from "../post/post-body.ts";
import type { FailedRecipient } from "./qsbmf.ts";

export interface RecipientStatus {
  /** "" when the report names none. */
  readonly recipient: string;
  /** `failed delayed delivered relayed expanded`, lower case; "" when missing. */
  readonly action: string;
  /** `5.1.1`; "" when missing. */
  readonly status: string;
}

/** Whether the header announces a delivery status notification; some forget to say of which type. */
export function isDeliveryReport(type: ContentType | undefined): boolean {
  return (
    type?.type === "multipart/report" &&
    asciiLower(type.parameters.get("report-type") ?? "delivery-status") === "delivery-status"
  );
}

/** Who failed for good, with what the report says about each. */
export function failedRecipients(type: ContentType | undefined, body: Buffer): FailedRecipient[] {
  const failed = (deliveryStatus(type, body) ?? []).filter((each) => each.action === "failed");
  return failed.map(({ recipient, status }) => ({
    recipient,
    text: `Final-Recipient: rfc822; ${recipient}\nAction: failed\nStatus: ${status || "5.0.0"}\n`,
  }));
}

/** What the status part says; undefined when there is no such part in `body`. */
export function deliveryStatus(
  type: ContentType | undefined,
  body: Buffer,
): RecipientStatus[] | undefined {
  const boundary = type?.parameters.get("boundary");
  if (!boundary) return undefined;
  for (const part of mimeParts(body, boundary)) {
    const header = parseHeader(part);
    const partType = topType(header.fields)?.type;
    if (partType !== "message/delivery-status" && partType !== "message/global-delivery-status") {
      continue;
    }
    const encoding = findField(header.fields, "Content-Transfer-Encoding");
    const raw = part.subarray(header.bodyStart);
    const text =
      encoding && asciiLower(fieldText(encoding)) === "base64"
        ? Buffer.from(raw.toString("latin1"), "base64")
        : raw;
    return groups(text);
  }
  return undefined;
}

/** Fields of each recipient; a new one starts at a blank line or at a second Final-Recipient. */
function groups(text: Buffer): RecipientStatus[] {
  const found: RecipientStatus[] = [];
  let current = new Map<string, string>();
  const finish = (): void => {
    const original = address(current.get("original-recipient"));
    const recipient = original || address(current.get("final-recipient"));
    if (recipient !== "" || current.has("action")) {
      found.push({
        recipient,
        action: asciiLower(current.get("action") ?? "").split(/[^a-z]/, 1)[0] as string,
        status: /\d\.\d{1,3}\.\d{1,3}/.exec(current.get("status") ?? "")?.[0] ?? "",
      });
    }
    current = new Map();
  };
  let rest = text;
  while (rest.length > 0 && found.length < 10_000) {
    const block = parseHeader(rest);
    for (const field of block.fields) {
      const name = asciiLower(field.name);
      if (name === "final-recipient" && current.has(name)) finish();
      current.set(name, fieldText(field));
    }
    finish();
    // A line that is no field ends parseHeader() without progress: step over it.
    const line = rest.indexOf(10);
    const step = block.bodyStart > 0 ? block.bodyStart : line < 0 ? rest.length : line + 1;
    rest = rest.subarray(step);
  }
  return found;
}

/** `rfc822; <ann@example.org>` is `ann@example.org`. */
function address(value: string | undefined): string {
  if (value === undefined) return "";
  const bare = value.slice(value.indexOf(";") + 1).trim();
  return bare.replace(/^<(.*)>$/, "$1");
}
