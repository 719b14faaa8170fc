/**
 * Rewriting of one address (qmail reference 5.4), the same for every address in a header, an argument
 * or a default. An empty address and one at the domain `[]` stay as they are.
 */
import { isSpecial, special, type Token, tokenise } from "./token.ts";

export interface Domains {
  /** For an address without `@`. */
  readonly defaultHost: string;
  /** For a domain without a dot. */
  readonly defaultDomain: string;
  /** For a domain that ends in `+`. */
  readonly plusDomain: string;
}

export function rewriteAddress(address: readonly Token[], domains: Domains): Token[] {
  if (address.length === 0 || isNowhere(address)) return [...address];
  let tokens = withoutRoute(address);
  if (tokens.length === 0) return tokens;
  if (isSpecial(tokens.at(-1), ".")) tokens = tokens.slice(0, -1);
  if (isSpecial(tokens.at(-1), "@")) tokens = tokens.slice(0, -1);
  if (!tokens.some((token) => isSpecial(token, "@"))) {
    tokens = [...tokens, special("@"), ...domainTokens(domains.defaultHost)];
  }
  const last = tokens.at(-1);
  if (last?.type === "atom" && last.text.endsWith("+")) {
    const bare: Token = { type: "atom", text: last.text.slice(0, -1) };
    tokens = [...tokens.slice(0, -1), bare, special("."), ...domainTokens(domains.plusDomain)];
  }
  const at = tokens.findLastIndex((token) => isSpecial(token, "@"));
  const domain = tokens.slice(at + 1);
  const complete = domain.some((token) => isSpecial(token, ".") || token.type === "literal");
  if (complete) return tokens;
  return [...tokens, special("."), ...domainTokens(domains.defaultDomain)];
}

/** `foo@[]`: special senders of the queue. */
function isNowhere(address: readonly Token[]): boolean {
  const last = address.at(-1);
  return last?.type === "literal" && last.text === "" && isSpecial(address.at(-2), "@");
}

/** Without the source route `@a,@b:`. RFC 5321 C says to ignore it. */
function withoutRoute(address: readonly Token[]): Token[] {
  if (!isSpecial(address[0], "@")) return [...address];
  const colon = address.findIndex((token) => isSpecial(token, ":"));
  return address.slice(colon + 1);
}

/** A host name out of a control file; whatever it holds, it becomes tokens. */
function domainTokens(domain: string): Token[] {
  return tokenise(domain) ?? [{ type: "atom", text: domain }];
}
