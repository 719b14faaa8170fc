/**
 * Flag files of a list: which letter of ezmlm-make belongs to which file, and the legacy forms
 * (`flags`, `F:` line of `config`) that supersede the files where they exist. Reference ezmlm.md 2.5,
 * ezmlm-files.md 3.1.
 */

/** Letter of ezmlm-make to flag file. `a` also stands for `indexed`, `k` and `q` are always on. */
export const flagFiles: Readonly<Record<string, string>> = {
  a: "archived",
  b: "modgetonly",
  d: "digested",
  f: "prefix",
  g: "subgetonly",
  h: "nosubconfirm",
  i: "threaded",
  j: "nounsubconfirm",
  l: "modcanlist",
  m: "modpost",
  n: "modcanedit",
  o: "modpostonly",
  p: "public",
  r: "remote",
  s: "modsub",
  t: "addtrailer",
  u: "subpostonly",
  w: "nowarn",
  x: "mimeremove",
  y: "confirmpost",
};

const lettersByFile = new Map(Object.entries(flagFiles).map(([letter, file]) => [file, letter]));

/** A legacy flag string, `-AbC…`: lower case set, upper case not set, the last of a letter wins. */
export function parseFlagString(text: string): Map<string, boolean> {
  const flags = new Map<string, boolean>();
  for (const letter of text.split("\n", 1)[0] ?? "") {
    if (/[a-z]/.test(letter)) flags.set(letter, true);
    else if (/[A-Z]/.test(letter)) flags.set(letter.toLowerCase(), false);
  }
  return flags;
}

/** `X:value` lines of a legacy `config` file. */
export function parseConfig(text: string): Map<string, string> {
  const values = new Map<string, string>();
  for (const line of text.split("\n")) {
    if (/^[A-Za-z0-9]:/.test(line)) values.set(line.charAt(0), line.slice(2));
  }
  return values;
}

/** What the legacy flags say about a flag file; undefined: look for the file. */
export function legacyFlag(
  flags: ReadonlyMap<string, boolean> | undefined,
  file: string,
): boolean | undefined {
  const letter = lettersByFile.get(file);
  return letter === undefined ? undefined : flags?.get(letter);
}
