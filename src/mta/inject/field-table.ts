/** What qmail-inject does with each header field it knows. qmail reference 5.4. */

export interface FieldRule {
  /** Addresses are rewritten. */
  readonly rewrite: boolean;
  /** Its addresses are recipients: of the message, or of its resending. */
  readonly recipients?: "plain" | "resent";
  /** Counts for Mail-Followup-To. */
  readonly followup?: true;
  /** Never leaves. */
  readonly deleted?: true;
  /** Makes the message a resent one. */
  readonly resent?: true;
}

const plain: FieldRule = { rewrite: true, recipients: "plain" };
const only: FieldRule = { rewrite: true };
const resent: FieldRule = { rewrite: false, resent: true };

/** By lower-cased name. */
export const fieldTable: ReadonlyMap<string, FieldRule> = new Map<string, FieldRule>([
  ["to", { ...plain, followup: true }],
  ["cc", { ...plain, followup: true }],
  ["bcc", { ...plain, deleted: true }],
  ["apparently-to", plain],
  ["resent-to", { ...resent, rewrite: true, recipients: "resent" }],
  ["resent-cc", { ...resent, rewrite: true, recipients: "resent" }],
  ["resent-bcc", { ...resent, rewrite: true, recipients: "resent", deleted: true }],
  ["return-path", { rewrite: true, deleted: true }],
  ["sender", only],
  ["from", only],
  ["reply-to", only],
  ["return-receipt-to", only],
  ["errors-to", only],
  ["resent-sender", { ...resent, rewrite: true }],
  ["resent-from", { ...resent, rewrite: true }],
  ["resent-reply-to", { ...resent, rewrite: true }],
  ["resent-date", resent],
  ["resent-message-id", resent],
  ["content-length", { rewrite: false, deleted: true }],
]);
