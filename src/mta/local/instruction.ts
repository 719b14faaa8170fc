/**
 * The lines of a .qmail file as instructions, in order. A line that must not be obeyed (file or
 * program in a file whose owner-execute bit is set) becomes `refused`, because the lines before it
 * still run. dot-qmail(5); qmail reference 4.3.
 */
import { isUtf8 } from "node:buffer";

export type Instruction =
  | { readonly kind: "maildir"; readonly line: number; readonly path: string }
  | { readonly kind: "mbox"; readonly line: number; readonly path: string }
  | { readonly kind: "program"; readonly line: number; readonly command: string }
  | { readonly kind: "forward"; readonly line: number; readonly address: string }
  | { readonly kind: "refused"; readonly line: number; readonly text: string };

/** `line` numbers count from 1. `forwardOnly`: the file has the owner-execute bit. */
export function parseInstructions(file: Buffer, forwardOnly = false): Instruction[] {
  const instructions: Instruction[] = [];
  let restricted = forwardOnly;
  let number = 0;
  for (let at = 0; at < file.length; ) {
    const end = file.indexOf(10, at);
    const stop = end < 0 ? file.length : end;
    const bytes = lineBytes(file.subarray(at, stop));
    at = stop + 1;
    number++;
    const line = bytes.toString("utf8");
    if (line === "") {
      if (number > 1) continue;
      return [refused(1, "Uh-oh: first line of .qmail file is blank. (#4.2.1)")];
    }
    if (line.startsWith("#")) continue;
    if (!isUtf8(bytes)) {
      instructions.push(refused(number, "Uh-oh: .qmail line is not valid UTF-8. (#4.3.0)"));
      continue;
    }
    if (line === "+list") restricted = true;
    const instruction = line.startsWith("+") ? undefined : parseLine(line, number, restricted);
    if (instruction) instructions.push(instruction);
  }
  return instructions;
}

/** A NUL ends the line; blanks at its end do not count. */
function lineBytes(bytes: Buffer): Buffer {
  const nul = bytes.indexOf(0);
  let size = nul < 0 ? bytes.length : nul;
  while (size > 0 && (bytes[size - 1] === 32 || bytes[size - 1] === 9)) size--;
  return bytes.subarray(0, size);
}

function parseLine(text: string, line: number, restricted: boolean): Instruction {
  switch (text[0]) {
    case "/":
    case ".":
      if (restricted) {
        return refused(line, "Uh-oh: .qmail has file delivery but has x bit set. (#4.7.0)");
      }
      return { kind: text.endsWith("/") ? "maildir" : "mbox", line, path: text };
    case "|":
      if (restricted) {
        return refused(line, "Uh-oh: .qmail has prog delivery but has x bit set. (#4.7.0)");
      }
      return { kind: "program", line, command: text.slice(1) };
    case "&":
      return { kind: "forward", line, address: text.slice(1) };
    default:
      return { kind: "forward", line, address: text };
  }
}

function refused(line: number, text: string): Instruction {
  return { kind: "refused", line, text };
}
