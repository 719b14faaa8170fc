/**
 * Address lists, read from right to left: so a list whose left part is wrong still yields the
 * addresses to the right of the error, and groups and route addresses are known before their phrase.
 *
 *   `;` … `:` a group, its phrase kept       `>` … `<` a route address, its phrase kept
 *   two words side by side: a comma is missing and gets inserted
 */
import { isSpecial, isWord, special, type Token } from "./token.ts";

export type Rewrite = (address: readonly Token[]) => readonly Token[];

/** What became of a list; `complete` false when it ended at an error. */
export interface AddressList {
  readonly complete: boolean;
  /** The whole list with every address rewritten; only useful when complete. */
  readonly tokens: readonly Token[];
}

/** Gives every address to `rewrite`, the last one first; comments follow their address. */
export function rewriteList(tokens: readonly Token[], rewrite: Rewrite): AddressList {
  const scan = new ListScan(tokens, rewrite);
  const complete = scan.run();
  return { complete, tokens: scan.output() };
}

class ListScan {
  private readonly tokens: readonly Token[];
  private readonly rewrite: Rewrite;
  private at: number;
  /** All three from right to left. */
  private readonly done: Token[] = [];
  private address: Token[] = [];
  private comments: Token[] = [];
  private inGroup = false;

  constructor(tokens: readonly Token[], rewrite: Rewrite) {
    this.tokens = tokens;
    this.rewrite = rewrite;
    this.at = tokens.length - 1;
  }

  output(): Token[] {
    return this.done.toReversed();
  }

  run(): boolean {
    for (; this.at >= 0; this.at--) {
      const token = this.tokens[this.at] as Token;
      if (token.type === "comment") this.comments.push(token);
      else if (token.type !== "special") this.word(token);
      else if (!this.special(token)) return false;
    }
    this.flush();
    return true;
  }

  private word(token: Token): void {
    if (isWord(this.address.at(-1))) {
      this.flush();
      this.done.push(special(","));
    }
    this.address.push({ type: token.type, text: token.text });
  }

  private special(token: Token): boolean {
    switch (token.text) {
      case ",":
        this.flush();
        this.done.push(token);
        return true;
      case ";":
        this.flush();
        if (this.inGroup) return false;
        this.inGroup = true;
        this.separate();
        this.done.push(token);
        return true;
      case ":":
        this.flush();
        if (!this.inGroup) return false;
        this.inGroup = false;
        this.done.push(token);
        this.phrase(",");
        return true;
      case ">":
        this.flush();
        this.separate();
        this.done.push(token);
        return this.route();
      case "<":
        return false;
      default:
        this.address.push(token);
        return true;
    }
  }

  /** A comma between this element and the one on its right, when nobody wrote one. */
  private separate(): void {
    const right = this.done.at(-1);
    if (right && !isSpecial(right, ",") && !isSpecial(right, ";")) this.done.push(special(","));
  }

  private flush(): void {
    this.done.push(...this.comments);
    this.comments = [];
    if (this.address.length === 0) return;
    this.done.push(...this.rewrite(this.address.toReversed()).toReversed());
    this.address = [];
  }

  /** From `>` to its `<`, then the phrase in front. */
  private route(): boolean {
    for (this.at--; this.at >= 0; this.at--) {
      const token = this.tokens[this.at] as Token;
      if (isSpecial(token, "<")) {
        const inside = this.rewrite(this.address.toReversed()).toReversed();
        const comments = this.comments;
        this.address = [];
        this.comments = [];
        this.done.push(...inside, token, ...comments);
        this.phrase(",:;<>");
        return true;
      }
      if (token.type === "comment") this.comments.push(token);
      else this.address.push({ type: token.type, text: token.text });
    }
    return false;
  }

  /** Copies what stands before `at` up to one of the specials in `ends`. */
  private phrase(ends: string): void {
    for (let next = this.tokens[this.at - 1]; next; next = this.tokens[this.at - 1]) {
      if (next.type === "special" && ends.includes(next.text)) return;
      this.done.push(next);
      this.at--;
    }
  }
}
