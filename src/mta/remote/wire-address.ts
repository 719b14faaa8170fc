/**
 * Envelope addresses as they stand in MAIL and RCPT: quoted local part, domain in A-labels. An
 * address that cannot be written without breaking the command line is refused here.
 */
import { domainToASCII } from "node:url";
import { quoteAddress, splitAddress } from "../../lib/address.ts";

export interface WireAddress {
  readonly text: string;
  /** The local part needs SMTPUTF8 (RFC 6531). */
  readonly utf8: boolean;
}

const plain =
  /^[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+(?:\.[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+)*@[A-Za-z0-9._-]+$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
const breaking = /[\0-\x1f\x7f]/;
const foreign = /[^\0-\x7f]/;

/** Whether an address can be written as it is. */
export function isPlainWire(address: string): boolean {
  return plain.test(address);
}

/** Undefined when it would break the command line. "" and an address without `@` are sent as they are. */
export function wireAddress(address: string): WireAddress | undefined {
  if (plain.test(address)) return { text: address, utf8: false };
  if (breaking.test(address)) return undefined;
  const { local, domain } = splitAddress(address);
  const ascii = foreign.test(domain) ? domainToASCII(domain) : domain;
  if (/[<>\s]/.test(ascii) || (domain !== "" && ascii === "")) return undefined;
  return {
    text: address.includes("@") ? quoteAddress(`${local}@${ascii}`) : quoteAddress(address),
    utf8: foreign.test(local),
  };
}

/** The host of an address as DNS and routes know it: lower case, A-labels. "" without `@`. */
export function hostOf(address: string): string {
  const { domain } = splitAddress(address);
  return (foreign.test(domain) ? domainToASCII(domain) : domain).toLowerCase();
}
