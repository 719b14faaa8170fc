/** A list directory written by hand, as old installations have them: address, key, header files, no more. */
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openList } from "../../src/ezmlm/list/list.ts";
import {
  makeHost,
  type RunResult,
  type RunSettings,
  runInProcess,
  temporaryDirectory,
} from "./ezmlm.ts";

const headeradd = [
  "Sender: <<#l#>@<#h#>>",
  "Precedence: bulk",
  "X-No-Archive: yes",
  "List-Post: <mailto:joe-list@lists.example.org>",
  "List-Help: <mailto:<#l#>-help@<#h#>>",
  "List-Unsubscribe: <mailto:<#l#>-unsubscribe@<#h#>>",
  "List-Subscribe: <mailto:<#l#>-subscribe@<#h#>>",
];
const headerremove =
  "return-path return-receipt-to content-length precedence x-confirm-reading-to x-pmrqc " +
  "list-subscribe list-unsubscribe list-help list-post sender";

export interface BareList {
  readonly dir: string;
  run(name: string, settings?: RunSettings): Promise<RunResult>;
  write(name: string, text?: string): void;
  read(name: string): string;
  has(name: string): boolean;
  /** Permission bits. */
  mode(name: string): number;
  subscribe(db: string, ...addresses: string[]): Promise<void>;
}

export async function bareList(
  files: Readonly<Record<string, string>> = {},
  subscribers: readonly string[] = ["ann@example.net", "bob@example.net"],
): Promise<BareList> {
  const dir = join(temporaryDirectory(), "joe-list");
  mkdirSync(dir);
  const list: BareList = {
    dir,
    run: (name, settings = {}) =>
      runInProcess(name, {
        ...settings,
        args: (settings.args ?? ["{DIR}"]).map((word) => word.replaceAll("{DIR}", dir)),
      }),
    write(name, text = "") {
      mkdirSync(join(dir, name, ".."), { recursive: true });
      writeFileSync(join(dir, name), text);
    },
    read: (name) => readFileSync(join(dir, name), "utf8"),
    has: (name) => existsSync(join(dir, name)),
    mode: (name) => statSync(join(dir, name)).mode & 0o777,
    async subscribe(db, ...addresses) {
      const open = await openList(makeHost({ cwd: dir }).host, dir);
      for (const address of addresses) await open.db(db).add(address, { event: "manual" });
      open.close();
    },
  };
  const all = {
    key: "0123456789abcdef",
    outlocal: "joe-list\n",
    outhost: "lists.example.org\n",
    headeradd: `${headeradd.join("\n")}\n`,
    headerremove: headerremove.replaceAll(" ", "\n"),
    archived: "",
    indexed: "",
    public: "",
    ...files,
  };
  for (const [name, text] of Object.entries(all)) list.write(name, text);
  for (const name of ["mod/pending", "mod/accepted", "mod/rejected", "mod/unconfirmed", "text"]) {
    mkdirSync(join(dir, name), { recursive: true });
  }
  chmodSync(dir, 0o700);
  await list.subscribe("", ...subscribers);
  return list;
}
