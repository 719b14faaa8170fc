/**
 * What a report says about one recipient, in qmail-remote's words: people and log analysers know
 * them. qmail reference 6.3. Every text ends in LF.
 */
import type { Outcome } from "./transaction.ts";

/** 5xx is for good; 4xx, and what is no SMTP reply at all, is not. */
function letter(code: number): "Z" | "D" {
  return code >= 500 ? "D" : "Z";
}

function said(reply: string): string {
  return `Remote host said: ${reply}`;
}

export const outcomes = {
  accepted: (ip: string, reply: string): Outcome => ({
    verdict: "K",
    text: `${ip} accepted message.\nRemote host said: ${reply}`,
  }),
  greeting: (ip: string, reply: string): Outcome => ({
    verdict: "Z",
    text: `Connected to ${ip} but greeting failed.\n${said(reply)}`,
  }),
  hello: (ip: string, reply: string): Outcome => ({
    verdict: "Z",
    text: `Connected to ${ip} but my name was rejected.\n${said(reply)}`,
  }),
  authentication: (ip: string, reply: string): Outcome => ({
    verdict: "Z",
    text: `Connected to ${ip} but authentication was rejected.\n${said(reply)}`,
  }),
  noAuthentication: (ip: string): Outcome => ({
    verdict: "Z",
    text: `Connected to ${ip} but no usable authentication was offered. (#4.7.0)\n`,
  }),
  noSecrecy: (ip: string): Outcome => ({
    verdict: "Z",
    text: `Connected to ${ip} but without TLS it will not get the password. (#4.7.0)\n`,
  }),
  sender: (ip: string, code: number, reply: string): Outcome => ({
    verdict: letter(code),
    text: `Connected to ${ip} but sender was rejected.\n${said(reply)}`,
  }),
  recipient: (ip: string, code: number, reply: string): Outcome => ({
    verdict: letter(code),
    text: `${ip} does not like recipient.\n${said(reply)}`,
    refusedBy: ip,
  }),
  data: (ip: string, code: number, reply: string): Outcome => ({
    verdict: letter(code),
    text: `${ip} failed on DATA command.\n${said(reply)}`,
    afterRecipients: true,
  }),
  message: (ip: string, code: number, reply: string): Outcome => ({
    verdict: letter(code),
    text: `${ip} failed after I sent the message.\n${said(reply)}`,
    afterRecipients: true,
  }),
  died: (ip: string): Outcome => ({
    verdict: "Z",
    text: `Connected to ${ip} but connection died. (#4.4.2)\n`,
  }),
  duplicate: (ip: string): Outcome => ({
    verdict: "Z",
    text: `Connected to ${ip} but connection died. Possible duplicate! (#4.4.2)\n`,
  }),
  noUtf8: (ip: string): Outcome => ({
    verdict: "D",
    text: `${ip} does not support unicode in email addresses. (#5.6.7)\n`,
  }),
  unreadable: (): Outcome => ({ verdict: "Z", text: "Unable to read message. (#4.3.0)\n" }),
};

/** What a refused recipient's report ends with: nothing else will be tried for it. */
export function givingUp(ip: string): string {
  return `Giving up on ${ip}.\n`;
}
