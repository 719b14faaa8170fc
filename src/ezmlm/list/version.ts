/** What `-v` and `-V` print on stderr. */
export function versionLine(program: string): string {
  return `${program} version: ezqmail-0.1.0 (ezmlm-idx-7.2.2)\n`;
}
