/**
 * Every reply of the server, in qmail's words. Codes in parentheses stand at the end as qmail's
 * clients know them, so ENHANCEDSTATUSCODES (codes in front, RFC 2034) is not announced.
 */

export const reply = {
  ok: "250 ok\r\n",
  flushed: "250 flushed\r\n",
  goAhead: "354 go ahead\r\n",
  help: "214 this is qmail-smtpd of ezqmail; see its manual page\r\n",
  verify: "252 send some mail, i'll try my best\r\n",
  unimplemented: "502 unimplemented (#5.5.1)\r\n",
  lineTooLong: "500 line too long (#5.5.2)\r\n",
  syntax: "555 syntax error (#5.5.4)\r\n",
  mailFirst: "503 MAIL first (#5.5.1)\r\n",
  rcptFirst: "503 RCPT first (#5.5.1)\r\n",
  badSender: "553 sorry, your envelope sender is in my badmailfrom list (#5.7.1)\r\n",
  relayDenied: "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)\r\n",
  tooManyRecipients: "452 sorry, too many recipients (#4.5.3)\r\n",
  noQueue: "451 qqt failure (#4.3.0)\r\n",
  tooBig: "552 sorry, that message size exceeds my databytes limit (#5.3.4)\r\n",
  looping: "554 too many hops, this message is looping (#5.4.6)\r\n",
  bareLf: "550 bare LF in message, see https://cr.yp.to/docs/smtplf.html (#5.5.2)\r\n",
  bareCr: "550 bare CR in message, see https://cr.yp.to/docs/smtplf.html (#5.5.2)\r\n",
  early: "554 SMTP protocol violation: wait for my reply (#5.5.0)\r\n",
  timeout: "451 timeout (#4.4.2)\r\n",
  noControls: "421 unable to read controls (#4.3.0)\r\n",
  stopping: "421 shutting down, try again later (#4.3.2)\r\n",
  tooManyConnections: "421 too many connections, try again later (#4.3.2)\r\n",
  tooManyFromYou: "421 too many connections from your address (#4.7.0)\r\n",
} as const;

export function banner(greeting: string): string {
  return `220 ${greeting} ESMTP\r\n`;
}

/** SIZE 0 says there is no fixed limit. RFC 1870 4. */
export function extensions(greeting: string, databytes: number): string {
  return `250-${greeting}\r\n250-PIPELINING\r\n250-SIZE ${databytes}\r\n250 8BITMIME\r\n`;
}

export function accepted(unixSeconds: number, id: string): string {
  return `250 ok ${unixSeconds} qp ${id}\r\n`;
}

/** The queue said no: its text on one line of printable ASCII. 452 is for a full disk (RFC 5321 4.2.3). */
export function queueRefusal(permanent: boolean, text: string): string {
  const line = text.replace(/[^\x20-\x7e]+/g, " ").slice(0, 480);
  const temporary = line.endsWith("(#4.3.1)") ? 452 : 451;
  return `${permanent ? 554 : temporary} ${line}\r\n`;
}
