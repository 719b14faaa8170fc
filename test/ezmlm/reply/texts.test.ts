import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ReplyList } from "../../../src/ezmlm/reply/reply-list.ts";
import { catalogue, catalogueFor, renderText } from "../../../src/ezmlm/reply/texts.ts";
import { PermanentError, TemporaryError } from "../../../src/lib/errors.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");
const site = { env: {}, root };
const flags = new Set<string>();
let dir: string;
let list: ReplyList;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "texts-"));
  mkdirSync(join(dir, "text"));
  flags.clear();
  list = {
    dir,
    dirArgument: dir,
    local: "joe-list",
    host: "lists.example.org",
    listId: undefined,
    charset: { name: "utf-8", encoding: "" },
    has: (flag) => flags.has(flag),
    line: () => undefined,
  };
});

afterEach(() => rmSync(dir, { recursive: true, force: true }));

const own = (name: string, text: string | Buffer): void =>
  writeFileSync(join(dir, "text", name), text);

const tags = {
  A: "ann@other.example",
  R: "joe-list-sc.1700000000.abcdefghijklmnopabcd-ann=other.example@lists.example.org",
  X: "sc.",
};

test("renderText() fills every old tag", () => {
  own("x", "<#L#> <#l#> <#h#> <#A#> <#a#> <#t#> <#c#> <#C#> <#T#> <#X#> <#n#> <#z#>|");
  expect(renderText(site, list, "x", { ...tags, db: "digest", number: 7 })).toBe(
    "joe-list joe-list-digest lists.example.org ann@other.example ann ann=other.example " +
      "sc.1700000000.abcdefghijklmnopabcd-ann=other.example abcdefghijklmnopabcd 1700000000 sc. 7 |\n",
  );
});

test("renderText() prints ????? for tags without a value", () => {
  own("x", "<#A#> <#R#> <#n#> <#t#>\n");
  expect(renderText(site, list, "x", {})).toBe("????? ????? ????? ?????\n");
});

test("renderText() drops comments and replaces !A and !R lines", () => {
  own("x", "# comment\n!A\n!R address\nend\n");
  expect(renderText(site, list, "x", { A: "a@b", R: "c@d" })).toBe("   a@b\n   c@d\nend\n");
});

test("renderText() honours sections: lower case set, upper case not set", () => {
  own("x", "all\n<=d=>\ndigest\n<=D=>\nno digest\n<=ad=>\nboth\n<==>\nend\n");
  expect(renderText(site, list, "x", {})).toBe("all\nno digest\nend\n");
  flags.add("digested");
  expect(renderText(site, list, "x", {})).toBe("all\ndigest\nend\n");
  flags.add("archived");
  expect(renderText(site, list, "x", {})).toBe("all\ndigest\nboth\nend\n");
});

test("renderText() takes a list's own Handlebars text before the site's", () => {
  own("sub-ok", "Hi {{address}}, you are on {{place}}.");
  expect(renderText(site, list, "sub-ok", tags)).toBe(
    "Hi ann@other.example, you are on joe-list@lists.example.org.\n",
  );
});

test("renderText() is temporary and names the file when a template is broken, permanent when a text is missing", () => {
  own("sub-ok", "{{adress}}");
  expect(() => renderText(site, list, "sub-ok", tags)).toThrow(
    new TemporaryError(
      `Unable to use ${dir}/text/sub-ok: there is no name "adress" (line 1). (#4.3.5)`,
    ),
  );
  expect(() => renderText(site, list, "no-such-text", tags)).toThrow(PermanentError);
});

test("renderText() looks in the language directory of the list, then in EZMLM_ETC", () => {
  const language = mkdtempSync(join(tmpdir(), "language-"));
  mkdirSync(join(language, "text"));
  mkdirSync(join(language, "default", "text"), { recursive: true });
  writeFileSync(join(language, "default", "text", "sub-ok"), "site\n");
  const here = { env: { EZMLM_ETC: language }, root };
  expect(renderText(here, list, "sub-ok", tags)).toBe("site\n");
  writeFileSync(join(language, "text", "sub-ok"), "language\n");
  expect(renderText(here, { ...list, language }, "sub-ok", tags)).toBe("language\n");
  rmSync(language, { recursive: true });
});

test("renderText() reads a text of an old list in the list's charset", () => {
  own("x", Buffer.from("Gr\xfc\xdfe\n", "latin1"));
  expect(renderText(site, list, "x", {})).toBe("Grüße\n");
});

test("catalogue() merges per key and answers an unknown key with itself", () => {
  own("messages", "# mine\nSUB_WELCOME:Hello from <#l#>\nnonsense\n");
  expect(catalogueFor(site, list, { db: "digest" }, "SUB_WELCOME")).toBe(
    "Hello from joe-list-digest",
  );
  expect(catalogue(site, list, "SUB_GOODBYE")).toBe("GOODBYE from joe-list@lists.example.org");
  expect(catalogue(site, list, "SUB_EDIT_REQUEST", "info")).toBe(
    "EDIT info for joe-list@lists.example.org",
  );
  expect(catalogue(site, list, "NO_SUCH_KEY")).toBe("NO_SUCH_KEY");
});
