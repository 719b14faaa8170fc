/** ezmlm-send against what ezmlm does to Subject, From and the header of a sublist: G2, G3, G9. */
import { rmSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type BareList, bareList } from "../../support/bare-list.ts";
import { headerOf, type RecordedMail } from "../../support/ezmlm.ts";

async function send(list: BareList, fields: string, SENDER = "j@x.y"): Promise<RecordedMail> {
  const stdin = `To: joe-list@lists.example.org\n${fields}\n\nText.\n`;
  const ran = await list.run("ezmlm-send", { env: { SENDER }, stdin });
  expect([ran.code, ran.mails.length], ran.stderr).toEqual([0, 1]);
  return ran.mails[0] as RecordedMail;
}

describe("the prefix (golden G2)", () => {
  test.each([
    ["[tag]", "foo", "[tag] foo"],
    ["[tag]", "[tag] Re: foo", "[tag] Re: foo"],
    ["[tag]", "Re: [tag] foo", "Re: [tag] foo"],
    ["[tag]", "[tag]foo", "[tag]foo"],
    ["[tag]", "[ta g] foo", "[ta g] foo"],
    ["[tag]", "[TAG] foo", "[tag] [TAG] foo"],
    ["(l-#)", "Re: (l-12) foo", "Re: (l-12) foo"],
    ["(l-#)", "foo", "(l-26) foo"],
    ["(l-#)", "(l-x) foo", "(l-26) (l-x) foo"],
  ])("%s before %s gives %s", async (prefix, subject, expected) => {
    const list = await bareList({ prefix: `${prefix}\n`, num: "25:0\n" });
    const mail = await send(list, `Subject: ${subject}`);
    expect(mail.header.at(-1)).toBe(`Subject: ${expected}`);
    expect(list.read("archive/0/26")).toContain(`Subject: ${subject}\n`);
  });
});

describe("From as the list (golden G3)", () => {
  test.each([
    ['"A, B" <j@x.y>', '"A, B via joe-list"', '"A, B" <j@x.y>'],
    ["test5@example.org", '"test5.example.org via joe-list"', "test5@example.org"],
    ["x@e.org (My Name)", '"My Name via joe-list"', "x@e.org (My Name)"],
  ])("%s becomes %s", async (from, name, reply) => {
    const header = headerOf(
      await send(await bareList({ rewritefrom: "" }), `From: ${from}\nSubject: x`),
    );
    expect(header.take("From").replace(/^([^"<]+?) </, '"$1" <')).toBe(
      `${name} <joe-list@lists.example.org>`,
    );
    expect(header.take("Reply-To")).toBe(reply);
  });

  test("with replytolist the author stands in Cc, and the archive knows the author", async () => {
    const list = await bareList({ rewritefrom: "", replytolist: "" });
    const mail = await send(list, "From: Joe <j@x.y>\nSubject: x");
    const names = mail.fields.map((field) => field.name);
    const header = headerOf(mail);
    expect(header.take("Reply-To")).toBe("<joe-list@lists.example.org>");
    expect(header.take("Cc")).toBe("Joe <j@x.y>");
    expect(names.indexOf("Reply-To")).toBeLessThan(names.indexOf("From"));
    expect(list.read("archive/0/01")).toContain("From: Joe <j@x.y>\n");
  });
});

describe("a sublist (golden G9)", () => {
  const parent = "joe-list-return-77-@lists.example.org";
  const files = {
    outlocal: "s\n",
    outhost: "h.example\n",
    sublist: "joe-list@lists.example.org\n",
    headeradd: "List-Help: <mailto:<#l#>-help@<#h#>>\n",
  };
  const relayed = "Mailing-List: contact joe-list-help@lists.example.org; run by ezmlm\nSubject: x";

  test("without archive sends under the parent's number and counts its own", async () => {
    const list = await bareList(files);
    rmSync(`${list.dir}/archived`);
    const mail = await send(list, relayed, parent);
    expect(mail.sender).toBe("s-return-77-@h.example-@[]");
    expect(list.read("num")).toMatch(/^1:/);
    expect(mail.header.filter((raw) => raw.startsWith("Mailing-List:"))).toHaveLength(1);
    expect(mail.header[0]).toBe("List-Help: <mailto:s-help@h.example>");
  });

  test("with archive sends under its own number", async () => {
    const list = await bareList(files);
    expect((await send(list, relayed, parent)).sender).toBe("s-return-1-@h.example-@[]");
  });

  test("refuses mail that no list sent, and other senders", async () => {
    const list = await bareList(files);
    for (const [SENDER, fields] of [
      [parent, "Subject: x"],
      ["joe-list-return-77-@other.example", relayed],
      ["joe-listing@lists.example.org", relayed],
    ] as const) {
      const stdin = `${fields}\n\nText.\n`;
      const ran = await list.run("ezmlm-send", { env: { SENDER }, stdin });
      expect([ran.code, ran.mails], SENDER).toEqual([100, []]);
    }
  });
});
