import fc from "fast-check";
import { expect, test } from "vitest";
import { rewriteList } from "../../../src/mta/inject/address-list.ts";
import { readMessage } from "../../../src/mta/inject/message-reader.ts";
import { fieldFrom, tokenise, tokenText } from "../../../src/mta/inject/token.ts";

const listText = fc
  .array(fc.constantFrom(...'ab.,@<>:;()[]"\\ \t\n\u00fc+'.split("")), { maxLength: 40 })
  .map((chars) => chars.join(""));

test("tokenise() reads back what tokenText() writes", () => {
  fc.assert(
    fc.property(listText, (text) => {
      const tokens = tokenise(text);
      if (!tokens) return;
      const again = tokenise(tokens.map(tokenText).join(" "));
      expect(again?.map((token) => token.text)).toEqual(tokens.map((token) => token.text));
    }),
  );
});

test("rewriteList() writes a list that parses to the same addresses", () => {
  const addresses = (text: string): string[] | undefined => {
    const tokens = tokenise(text);
    const found: string[] = [];
    const list =
      tokens &&
      rewriteList(tokens, (address) => {
        found.push(address.map(({ text }) => text).join(""));
        return address;
      });
    return list?.complete ? found : undefined;
  };
  fc.assert(
    fc.property(listText, (text) => {
      const found = addresses(text);
      const tokens = tokenise(text);
      if (!found || !tokens) return;
      const written = fieldFrom("To", rewriteList(tokens, (address) => address).tokens);
      expect(addresses(written.slice("To:".length))).toEqual(found);
    }),
  );
});

test("readMessage() does not care how its input is cut", async () => {
  const bytes = fc.array(fc.constantFrom(..."To: x\r\n\n\n \tFrom".split("")), { maxLength: 60 });
  async function read(chunks: Buffer[]) {
    const message = await readMessage(
      (async function* () {
        yield* chunks;
      })(),
    );
    const body: Buffer[] = [];
    for await (const chunk of message.body()) body.push(chunk);
    return {
      fields: message.fields,
      hasBody: message.hasBody,
      body: Buffer.concat(body).toString(),
    };
  }
  await fc.assert(
    fc.asyncProperty(bytes, fc.integer({ min: 1, max: 7 }), async (chars, size) => {
      const whole = Buffer.from(chars.join(""));
      const cut: Buffer[] = [];
      for (let at = 0; at < whole.length; at += size) cut.push(whole.subarray(at, at + size));
      expect(await read(cut)).toEqual(await read([whole]));
    }),
  );
});
