/** What the files of a list say about its posts, read once per post. */
import { quoteAddress } from "../../lib/address.ts";
import { PermanentError } from "../../lib/errors.ts";
import { fieldBytes, findField, type HeaderField } from "../../lib/header.ts";
import type { Host } from "../../lib/program.ts";
import { displayName } from "../archive/index-line.ts";
import type { List } from "../list/list.ts";
import { mailingListFields } from "../reply/compose.ts";
import { catalogue, renderText } from "../reply/texts.ts";
import { TypeSet } from "./content-type.ts";
import { authorDomains, dmarcPolicy, type TxtLookup } from "./dmarc.ts";
import { fieldNames, type HeaderRules } from "./outgoing-header.ts";
import type { BodyRules } from "./post-body.ts";

/** Rules for the post with this number. */
export type PostRules = (number: number) => {
  readonly headers: HeaderRules;
  readonly body: BodyRules;
};

export interface RuleOptions {
  readonly allReceived: boolean;
  readonly isSublist: boolean;
  /** From becomes the list. */
  readonly rewriteFrom: boolean;
  /** Each copy gets a List-Unsubscribe of its own. */
  readonly hasLinks: boolean;
}

export function readPostRules(
  host: Host,
  list: List,
  fields: readonly HeaderField[],
  options: RuleOptions,
): PostRules {
  const keep = list.lines("headerkeep");
  const remove = list.lines("headerremove") ?? (keep ? [] : missing(list, "headerremove"));
  const keepTypes = typeSet(list, "mimekeep");
  const removeTypes = keepTypes ? undefined : typeSet(list, "mimeremove");
  const own = options.isSublist ? [] : mailingListFields(host, list);
  const from = findField(fields, "From");
  const author =
    options.rewriteFrom && from
      ? catalogue(
          host,
          list,
          "AUTHOR_VIA_LIST",
          displayName(fieldBytes(from).slice(0, 4096)),
          list.local,
        )
      : undefined;
  return (number) => ({
    headers: {
      address: list.address,
      quotedAddress: quoteAddress(list.address),
      own,
      add: list.lines("headeradd", { number }) ?? missing(list, "headeradd"),
      keep: keep && fieldNames(keep),
      remove: fieldNames(remove),
      replyToList: list.has("replytolist"),
      allReceived: options.allReceived,
      hasLinks: options.hasLinks,
      prefix: list.has("prefix") ? (list.line("prefix") ?? "") : "",
      number,
      ...(author === undefined ? {} : { authorViaList: author }),
    },
    body: {
      keepTypes,
      removeTypes,
      trailer: list.has("addtrailer") ? renderText(host, list, "trailer", { number }) : "",
      charset: list.charset,
      quoteError: () => catalogue(host, list, "ERR_MIME_QUOTE"),
    },
  });
}

/** Undefined when the file is missing or says nothing. */
export function typeSet(list: List, name: string): TypeSet | undefined {
  const lines = list.lines(name);
  return lines && lines.length > 0 ? new TypeSet(lines) : undefined;
}

function missing(list: List, name: string): never {
  throw new PermanentError(`${list.path(name)} does not exist. (#5.3.5)`);
}

/**
 * Whether From must become the list: always with `rewritefrom`, else when the author's domain asks
 * receivers to refuse or quarantine what the list would send in its name. When the DNS cannot tell,
 * yes: such a post arrives everywhere, and it does not have to wait.
 */
export async function mustRewriteFrom(
  list: List,
  fields: readonly HeaderField[],
  txt: TxtLookup,
  warn: (text: string) => void,
): Promise<boolean> {
  if (list.has("rewritefrom")) return true;
  const from = findField(fields, "From");
  if (!from) return false;
  for (const domain of authorDomains(fieldBytes(from))) {
    if (domain.toLowerCase() === list.host.toLowerCase()) continue;
    const policy = await dmarcPolicy(domain, txt);
    if (policy === "unknown") warn("DNS look-up of a DMARC policy failed, From becomes the list");
    if (policy !== "none") return true;
  }
  return false;
}
