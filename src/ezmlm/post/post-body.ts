/**
 * The body of a post on its way: parts taken out, trailer put in, chunk by chunk. What it emits with
 * `added` is for the subscribers alone; the rest is for the archive, too.
 */
import { asciiLower } from "../../lib/address.ts";
import { PermanentError } from "../../lib/errors.ts";
import { fieldBytes, findField, type HeaderField } from "../../lib/header.ts";
import { type ContentType, parseContentType, type TypeSet } from "./content-type.ts";
import { type Emit, filterableBoundary, MimeFilter } from "./mime-filter.ts";
import { type TextCharset, takesTrailerPart, trailerPart, trailerTail } from "./trailer.ts";

export interface BodyRules {
  /** Types that stay; wins over `remove`. */
  readonly keepTypes: TypeSet | undefined;
  readonly removeTypes: TypeSet | undefined;
  /** "" for none. */
  readonly trailer: string;
  readonly charset: TextCharset;
  /** Text of the refusal of a boundary that cannot be read. */
  readonly quoteError: () => string;
}

export interface PostBody {
  push(chunk: Buffer): void;
  end(): void;
  /** False when every part was taken out. Valid after `end()`. */
  readonly hasParts: boolean;
}

/** Parsed Content-Type of the message; undefined when it has none. */
export function topType(fields: readonly HeaderField[]): ContentType | undefined {
  const field = findField(fields, "Content-Type");
  return field && parseContentType(fieldBytes(field).slice(0, 8192));
}

/** `outgoing` sees every byte that leaves, `archive` all but what was added. */
export function postBody(
  fields: readonly HeaderField[],
  rules: BodyRules,
  outgoing: (bytes: Buffer) => void,
  archive: (bytes: Buffer) => void,
): PostBody {
  const type = topType(fields);
  const filters = rules.keepTypes !== undefined || rules.removeTypes !== undefined;
  const boundary = filterableBoundary(type);
  const wantsPart = rules.trailer !== "" && takesTrailerPart(type);
  if (boundary !== undefined && (filters || wantsPart)) {
    if (type?.unterminated) throw new PermanentError(rules.quoteError());
    const emit: Emit = (bytes, added) => {
      outgoing(bytes);
      if (!added) archive(bytes);
    };
    return filterBody(boundary, rules, wantsPart, emit);
  }
  const encoding = findField(fields, "Content-Transfer-Encoding");
  const tail =
    rules.trailer === ""
      ? undefined
      : trailerTail(type, encoding ? asciiLower(fieldBytes(encoding)) : "", rules.trailer);
  return {
    hasParts: true,
    push(chunk) {
      archive(chunk);
      outgoing(tail ? tail.push(chunk) : chunk);
    },
    end() {
      if (tail) outgoing(tail.end());
    },
  };
}

function filterBody(boundary: string, rules: BodyRules, wantsPart: boolean, emit: Emit): PostBody {
  const { keepTypes, removeTypes, trailer, charset } = rules;
  const filter = new MimeFilter(
    boundary,
    {
      keep: (type, inside) =>
        keepTypes ? inside || keepTypes.has(type) : !(removeTypes?.has(type) ?? false),
      lastPart: (outer) => (wantsPart ? trailerPart(outer, trailer, charset) : undefined),
    },
    emit,
  );
  return {
    get hasParts() {
      return filter.keptParts > 0;
    },
    push: (chunk) => filter.push(chunk),
    end: () => filter.end(),
  };
}
