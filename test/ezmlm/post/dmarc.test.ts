import { createSocket } from "node:dgram";
import { describe, expect, onTestFinished, test } from "vitest";
import { authorDomains, dmarcPolicy, systemTxt } from "../../../src/ezmlm/post/dmarc.ts";

const zone = (records: Record<string, string[] | undefined>) => {
  const asked: string[] = [];
  return {
    asked,
    txt: async (name: string) => {
      asked.push(name);
      return name in records ? records[name] : [];
    },
  };
};

test("systemTxt() asks a dead name server only until its time is over", async () => {
  const server = createSocket("udp4");
  onTestFinished(() => void server.close());
  await new Promise<void>((resolve) => server.bind(0, "127.0.0.1", resolve));
  let questions = 0;
  server.on("message", () => questions++);
  const txt = systemTxt(`127.0.0.1:${server.address().port}`, 200);
  expect(await txt("_dmarc.a.org")).toBeUndefined();
  expect(await txt("_dmarc.b.org")).toBeUndefined();
  expect(questions).toBe(1);
});

describe("dmarcPolicy()", () => {
  test("is what the domain itself says", async () => {
    const { txt } = zone({ "_dmarc.a.org": ["v=DMARC1; P = Reject; rua=mailto:x@a.org"] });
    expect(await dmarcPolicy("A.org", txt)).toBe("reject");
  });

  test("of a host below is sp of the organisation, else its p", async () => {
    const sp = zone({ "_dmarc.a.org": ["v=DMARC1; p=none; sp=quarantine"] });
    expect(await dmarcPolicy("mail.x.a.org", sp.txt)).toBe("quarantine");
    const p = zone({ "_dmarc.a.org": ["v=DMARC1; p=reject"] });
    expect(await dmarcPolicy("mail.a.org", p.txt)).toBe("reject");
  });

  test("is none for two records, for others' records, for no name at all", async () => {
    const two = zone({ "_dmarc.a.org": ["v=DMARC1; p=reject", "v=DMARC1; p=reject"] });
    expect(await dmarcPolicy("a.org", two.txt)).toBe("none");
    expect(await dmarcPolicy("a.org", zone({ "_dmarc.a.org": ["v=spf1 p=reject"] }).txt)).toBe(
      "none",
    );
    const silent = zone({});
    expect(await dmarcPolicy("x.example", silent.txt)).toBe("none");
    expect(await dmarcPolicy("a b.org", silent.txt)).toBe("none");
    expect(silent.asked).toEqual([]);
  });

  test("is unknown when the DNS cannot say", async () => {
    expect(await dmarcPolicy("a.org", zone({ "_dmarc.a.org": undefined }).txt)).toBe("unknown");
  });

  test("asks eight times at most", async () => {
    const { txt, asked } = zone({});
    await dmarcPolicy("a.b.c.d.e.f.g.h.i.j.k.org", txt);
    expect(asked).toHaveLength(8);
  });
});

test("authorDomains() finds the domains of addresses, not of names and comments", () => {
  expect(authorDomains('"x@evil.org" <a@b.org>, c@d.org (e@f.org)')).toEqual(["b.org", "d.org"]);
});
