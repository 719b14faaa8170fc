/** Addresses from the command line and the environment: raw, quoted here, no RFC 822 syntax. */
import { quoteAddress } from "../../lib/address.ts";
import { PermanentError } from "../../lib/errors.ts";
import { type Domains, rewriteAddress } from "./rewrite-address.ts";
import { isWord, type Token, tokenise } from "./token.ts";

/** Text as the bytes it is in a header. */
export function toBytes(text: string): string {
  return Buffer.from(text).toString("latin1");
}

/** Header bytes as envelope text; what is no UTF-8 is refused by the queue. */
export function toText(bytes: string): string {
  return Buffer.from(bytes, "latin1").toString("utf8");
}

/** `x y@h` has the local part `x y`. Throws PermanentError for what cannot be an address. */
export function argumentAddress(address: string, domains: Domains): Token[] {
  const tokens = tokenise(quoteAddress(toBytes(address)));
  const odd = tokens?.some(
    (token, at) =>
      token.type === "comment" ||
      (token.type === "special" && token.text !== "@" && token.text !== ".") ||
      (isWord(token) && isWord(tokens[at - 1])),
  );
  if (!tokens || odd) throw new PermanentError(`unable to parse address: ${address}`);
  return rewriteAddress(tokens, domains);
}
