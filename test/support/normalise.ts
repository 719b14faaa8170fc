/** Numbers that change from run to run, made equal, so that golden files compare. */

export function normalise(text: string): string {
  return text
    .replace(/\b\d{10}\.[a-p]{20}\b/g, "TS.C20")
    .replace(/\b\d{10}\.(\w+)\.[a-p]{20}\b/g, "TS.$1.C20")
    .replace(/<\d{10}\.\d+\.[0-9a-z]+\.ezmlm@/g, "<TS.PID.ezmlm@")
    .replace(/\b\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d -0000/g, "DATE")
    .replace(/^[a-p]{20}$/gm, "C20")
    .replace(/boundary=[a-p]{20}/g, "boundary=C20")
    .replace(/^--[a-p]{20}/gm, "--C20");
}
