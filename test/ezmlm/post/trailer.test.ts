import { describe, expect, test } from "vitest";
import { parseContentType } from "../../../src/ezmlm/post/content-type.ts";
import { trailerPart, trailerTail } from "../../../src/ezmlm/post/trailer.ts";
import { decodeTransfer } from "../../../src/lib/transfer-encoding.ts";

function withTrailer(type: string, encoding: string, body: Buffer, trailer: string, chunk = 5) {
  const tail = trailerTail(parseContentType(type), encoding, trailer);
  if (!tail) return undefined;
  const out: Buffer[] = [];
  for (let at = 0; at < body.length; at += chunk)
    out.push(tail.push(body.subarray(at, at + chunk)));
  out.push(tail.end());
  return Buffer.concat(out);
}

describe("trailerTail()", () => {
  test("stands behind an empty line, also when the body has no last line feed", () => {
    expect(withTrailer("text/plain", "", Buffer.from("hi"), "bye\n")?.toString()).toBe(
      "hi\n\nbye\n\n",
    );
  });

  test.each([0, 1, 2, 3, 56, 57, 58, 200])("keeps base64 of %i bytes one stream", (size) => {
    const text = Buffer.alloc(size, "abc");
    const body = Buffer.from(text.toString("base64").replace(/.{1,76}/g, "$&\n"));
    const out = withTrailer("text/plain; charset=utf-8", "base64", body, "grüße\n");
    expect(out?.toString()).not.toMatch(/=[\s]*[^\s=]/);
    expect(out?.toString()).not.toMatch(/.{77}/);
    expect(decodeTransfer(out as Buffer, "base64").toString()).toBe(`${text}\r\ngrüße\r\n\r\n`);
  });

  test("is quoted-printable where the body is", () => {
    const out = withTrailer(
      "text/plain; charset=utf-8",
      "quoted-printable",
      Buffer.from("a=3D\n"),
      "ü=\n",
    );
    expect(out?.toString()).toBe("a=3D\n\n=C3=BC=3D\n\n");
  });

  test("keeps a body that says 7bit to ASCII, another to its charset", () => {
    expect(withTrailer("text/plain", "7bit", Buffer.from("a\n"), "grüße\n")?.toString()).toBe(
      "a\n\ngruse\n\n".replace("gruse", "gru?e"),
    );
    const latin = withTrailer("text/plain; charset=iso-8859-1", "8bit", Buffer.from("a\n"), "ü\n");
    expect(latin).toEqual(Buffer.from("a\n\nü\n\n", "latin1"));
  });

  test("leaves pictures, signatures and alternatives alone", () => {
    for (const type of [
      "image/png",
      "multipart/signed; boundary=b",
      "multipart/alternative; boundary=b",
    ]) {
      expect(withTrailer(type, "", Buffer.from("x"), "bye\n")).toBeUndefined();
    }
  });

  test("is escaped in HTML", () => {
    expect(withTrailer("text/html", "", Buffer.from("<p>\n"), "<a@b>\n")?.toString()).toContain(
      "&lt;a@b&gt;",
    );
  });
});

test("trailerPart() names charset and encoding of what it holds", () => {
  const part = trailerPart("b", "grüße\n", { name: "utf-8", encoding: "Q" }).toString();
  expect(part).toContain("charset=utf-8\nContent-Transfer-Encoding: quoted-printable");
  expect(part).toContain("gr=C3=BC=C3=9Fe\n");
  expect(trailerPart("b", "x\n", { name: "utf-8", encoding: "B" }).toString()).toContain(
    "us-ascii",
  );
});
