/** The Received field of the SMTP server, and who is at the other end. qmail reference 7.1. */
import { asciiLower } from "../../lib/address.ts";

/** Names and info come from the peer or its name server: never trusted, sanitised where they show. */
export interface Peer {
  readonly remoteIp?: string | undefined;
  readonly remoteHost?: string | undefined;
  readonly remoteInfo?: string | undefined;
  /** How the peer reached us. */
  readonly local?: string | undefined;
}

/** Bytes outside the harmless set become `?`. `text` may be a binary string. */
function safe(text: string): string {
  return text.replace(/[^A-Za-z0-9.@%+/=:\-[\]]/g, "?");
}

/** Both lines with their LF. `date` is now, `helo` is the argument of HELO or EHLO, undefined before either. */
export function receivedField(
  peer: Peer,
  helo: string | undefined,
  protocol: "SMTP" | "ESMTP",
  date: string,
): string {
  const host = peer.remoteHost || "unknown";
  const named = helo !== undefined && asciiLower(helo) !== asciiLower(host);
  const info = peer.remoteInfo ? `${safe(peer.remoteInfo)}@` : "";
  return (
    `Received: from ${safe(host)}${named ? ` (HELO ${safe(helo)})` : ""}` +
    ` (${info}${safe(peer.remoteIp || "unknown")})\n` +
    `  by ${safe(peer.local || "unknown")} with ${protocol}; ${date}\n`
  );
}
