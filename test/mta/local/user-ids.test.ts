/** As root: deliveries run under exactly the uid of the user and one group. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { LspawnRig } from "./lspawn-rig.ts";

const isRoot = process.getuid?.() === 0;
const users = [`ezq${process.pid}a`, `ezq${process.pid}b`];

describe.runIf(isRoot)("qmail-lspawn as root", () => {
  let rig: LspawnRig;
  const ids = new Map<string, { uid: number; gid: number }>();

  beforeAll(() => {
    for (const user of users) {
      execFileSync("useradd", ["-M", "-d", "/nonexistent", "-s", "/usr/sbin/nologin", user]);
      const id = (flag: string) => Number(execFileSync("id", [flag, user], { encoding: "utf8" }));
      ids.set(user, { uid: id("-u"), gid: id("-g") });
    }
    execFileSync("usermod", ["-aG", "mail", users[0] as string]);
  });
  afterAll(() => {
    // By force: a worker of the user may still be on its way out.
    for (const user of users) spawnSync("userdel", ["-f", user], { stdio: "ignore" });
  });
  beforeEach(() => {
    rig = new LspawnRig();
  });
  afterEach(async () => {
    const workers = rig.workerPids();
    await rig.stop();
    await rig.until(() => workers.every((pid) => !existsSync(`/proc/${pid}/exe`)));
  });

  test("each user's lines and files have the uid and the one gid of the user", async () => {
    const lines: string[] = [];
    const homes: string[] = [];
    for (const user of users) {
      const { uid, gid } = ids.get(user) as { uid: number; gid: number };
      const home = rig.userHome(
        user,
        {
          ".qmail":
            "./Maildir/\n|grep -E '^(Uid|Gid|Groups)' /proc/self/status > ids; umask >> ids\n",
        },
        uid,
      );
      lines.push(`=${user}:${user}:${uid}:${gid}:${home}:::`);
      homes.push(home);
    }
    rig.assign(...lines);
    await rig.start();
    for (const [at, user] of users.entries()) {
      const { uid, gid } = ids.get(user) as { uid: number; gid: number };
      expect(await rig.outcome(`${user}@test.example`)).toBe("Kdid 1+0+1\n");
      const four = (id: number) => Array(4).fill(id).join("\t");
      const seen = readFileSync(join(homes[at] as string, "ids"), "utf8").replace(/ +$/gm, "");
      // The kernel counts the gid apart from the supplementary groups, of which there must be none else.
      expect(seen).toMatch(
        new RegExp(`^Uid:\t${four(uid)}\nGid:\t${four(gid)}\nGroups:\t(${gid})?\n0?077\n$`),
      );
      const file = statSync(join(homes[at] as string, "ids"));
      expect([file.uid, file.gid, file.mode & 0o777]).toEqual([uid, gid, 0o600]);
    }
    expect(rig.workerUids).toEqual(users.map((user) => ids.get(user)?.uid));
  });

  test("an account that does not own its home gets no mail, and uid 0 is refused", async () => {
    const home = rig.userHome("boss", {});
    rig.assign(`=boss:boss:0:0:${home}:::`);
    await rig.start();
    expect(await rig.outcome("boss@test.example")).toBe(
      "ZNot allowed to perform deliveries as root.\n",
    );
    // /nonexistent is nobody's home, so the mail is alias's, if this machine has one.
    const { verdict } = await rig.report(rig.deliver(`${users[0]}@test.example`));
    expect(verdict).not.toBe("K");
    expect(rig.workerUids.every((uid) => uid !== 0)).toBe(true);
  });
});
