import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { LspawnRig, root } from "./lspawn-rig.ts";

const own = { uid: 65534, gid: 65534 };
let rig: LspawnRig;

beforeEach(() => {
  rig = new LspawnRig();
});
afterEach(() => rig.stop());

/** One user `joe` whose home holds these files; lspawn under one uid that is not root. */
async function startJoe(files: Record<string, string>): Promise<string> {
  const home = rig.userHome("joe", files, own.uid);
  rig.assign(`=joe:joe:1:1:${home}:::`, `+joe-:joe:1:1:${home}:-::`);
  await rig.start(own);
  return home;
}

const newMail = (home: string): string[] =>
  readdirSync(join(home, "Maildir/new")).map((name) =>
    readFileSync(join(home, "Maildir/new", name), "utf8"),
  );

test("qmail-lspawn delivers into the Maildir of an assigned user", async () => {
  const home = await startJoe({});
  expect(await rig.outcome("joe@test.example")).toBe("Kdid 1+0+0\n");
  expect(newMail(home)).toEqual([
    "Return-Path: <s@x.example>\nDelivered-To: joe@test.example\nSubject: x\n\nhi\n",
  ]);
  const [name] = readdirSync(join(home, "Maildir/new"));
  expect(name).toMatch(/^\d+\.M\d+P\d+Q1R[0-9a-f]{16}\./);
  expect(readdirSync(join(home, "Maildir/tmp"))).toEqual([]);
});

test("qmail-lspawn expands a VERP sender for the recipient", async () => {
  const home = await startJoe({});
  expect(await rig.outcome("joe@test.example", "x\n", "list-return-7-@l.example-@[]")).toMatch(
    /^K/,
  );
  expect(newMail(home)[0]).toMatch(/^Return-Path: <list-return-7-joe=test.example@l.example>\n/);
});

test("qmail-lspawn throws away mail without local part and reports unknown users", async () => {
  await startJoe({});
  expect(await rig.outcome("@test.example")).toBe("K");
  expect(await rig.outcome("ann@test.example")).toBe("ZUnable to find alias user!\n");
  expect(await rig.outcome("joe-none@test.example")).toBe(
    "DSorry, no mailbox here by that name. (#5.1.1)\n",
  );
});

test("qmail-lspawn refuses deliveries for uid 0", async () => {
  const home = rig.userHome("boss", {}, own.uid);
  rig.assign(`=boss:boss:0:0:${home}:::`);
  await rig.start(own);
  expect(await rig.outcome("boss@test.example")).toBe(
    "ZNot allowed to perform deliveries as root.\n",
  );
  expect(rig.workerUids).toEqual([]);
});

test("a worker fetches the body once for many deliveries of one process", async () => {
  const home = await startJoe({ ".qmail-a": "./Maildir/\n./Maildir/\n" });
  expect(await rig.outcome("joe-a@test.example")).toBe("Kdid 2+0+0\n");
  expect(newMail(home)).toHaveLength(2);
  expect(rig.fetches).toBe(1);
});

test("every instruction gets the same body, with the fields of its copy", async () => {
  const home = await startJoe({ ".qmail-t": "./Maildir/\n|cat > seen\n&ann@other.example\n" });
  const body = "Subject: x\n\nhi\n";
  for (const prefix of ["", "X-For: joe=test.example\n"]) {
    const sent = rig.deliver("joe-t@test.example", body, "s@x.example", undefined, prefix);
    expect((await rig.report(sent)).text).toMatch(/^did 1\+1\+1\nqp \d\n$/);
    const copy = `Delivered-To: joe-t@test.example\n${prefix}${body}`;
    expect(newMail(home)).toContain(`Return-Path: <s@x.example>\n${copy}`);
    expect(readFileSync(join(home, "seen"), "utf8")).toBe(`${prefix}${body}`);
    expect(rig.mails.at(-1)?.body.toString()).toBe(copy);
  }
});

test("an edit of users/assign or a .qmail file counts from the next delivery on", async () => {
  const home = await startJoe({ ".qmail-a": "./Maildir/\n" });
  const other = rig.userHome("other", { ".qmail-a": "#\n" }, own.uid);
  expect(await rig.outcome("joe-a@test.example")).toBe("Kdid 1+0+0\n");
  writeFileSync(join(home, ".qmail-a"), "./Maildir/\n./Maildir/\n");
  expect(await rig.outcome("joe-a@test.example")).toBe("Kdid 2+0+0\n");
  rig.assign(`+joe-:joe:1:1:${other}:-::`);
  expect(await rig.outcome("joe-a@test.example")).toBe("Kdid 0+0+0\n");
});

test("deliveries that come together each get their own sender, recipient and extension", async () => {
  const home = await startJoe({ ".qmail-default": "./Maildir/\n" });
  const sent = ["joe-a@x.example", "joe-A@x.example", "joe-a@y.example"].map((recipient, at) =>
    rig.deliver(recipient, `${at}\n`, `s${at}@x.example`),
  );
  for (const delivery of sent) expect((await rig.report(delivery)).verdict).toBe("K");
  expect(newMail(home).sort()).toEqual([
    "Return-Path: <s0@x.example>\nDelivered-To: joe-a@x.example\n0\n",
    "Return-Path: <s1@x.example>\nDelivered-To: joe-A@x.example\n1\n",
    "Return-Path: <s2@x.example>\nDelivered-To: joe-a@y.example\n2\n",
  ]);
});

test("a large body goes through a file and arrives whole everywhere", async () => {
  const home = await startJoe({ ".qmail-big": "./Maildir/\n|cat > seen\n&ann@other.example\n" });
  const body = Buffer.concat([
    Buffer.from("Subject: big\n\n"),
    Buffer.alloc(700_000, "0123456789\n"),
  ]);
  expect(await rig.outcome("joe-big@test.example", body)).toBe("Kdid 1+1+1\nqp 1\n");
  expect(readFileSync(join(home, "seen")).equals(body)).toBe(true);
  expect(newMail(home)[0]?.endsWith(body.toString())).toBe(true);
  const forwarded = `Delivered-To: joe-big@test.example\n${body}`;
  expect(rig.mails[0]?.body.toString() === forwarded).toBe(true);
});

test.each([100, 200_000])(
  "a copy with fields of its own is the same for every instruction, body of %i bytes",
  async (size) => {
    const home = await startJoe({ ".qmail-p": "./Maildir/\n|cat > seen\n&ann@other.example\n" });
    const body = `Subject: x\n\n${"line\n".repeat(size / 5)}`;
    const prefix = "X-For: joe=test.example\n";
    const sent = rig.deliver("joe-p@test.example", body, "s@x.example", undefined, prefix);
    expect((await rig.report(sent)).text).toBe("did 1+1+1\nqp 1\n");
    const copy = `${prefix}${body}`;
    expect(readFileSync(join(home, "seen"), "utf8") === copy).toBe(true);
    expect(newMail(home)[0]?.endsWith(`\nDelivered-To: joe-p@test.example\n${copy}`)).toBe(true);
    expect(rig.mails[0]?.body.toString().endsWith(`\n${copy}`)).toBe(true);
  },
);

test("a program line of ours runs in process, with keys that make a re-run harmless", async () => {
  await startJoe({ ".qmail-f": '|forward "ann@other.example" || exit 1\n|exit 111\n' });
  expect(await rig.outcome("joe-f@test.example", "Subject: x\n\nhi\n", "s@x.example", "77.1")).toBe(
    "Zforward: qp 1\n",
  );
  expect(await rig.outcome("joe-f@test.example", "Subject: x\n\nhi\n", "s@x.example", "77.1")).toBe(
    "Zforward: qp 1\n",
  );
  expect(rig.mails).toHaveLength(1);
  expect(rig.mails[0]).toMatchObject({ sender: "s@x.example", recipients: ["ann@other.example"] });
  expect(rig.mails[0]?.key).toMatch(/^77\.1\/1\/forward:/);
  expect(rig.mails[0]?.body.toString()).toBe(
    "Delivered-To: joe-f@test.example\nSubject: x\n\nhi\n",
  );
});

test("a program of another installation with our name stays theirs", async () => {
  const home = await startJoe({ ".qmail-f": "|./forward x@y; echo ran $?\n" });
  writeFileSync(join(home, "forward"), "#!/bin/sh\necho theirs\n", { mode: 0o755 });
  expect(await rig.outcome("joe-f@test.example")).toBe("Ktheirs\nran 0\ndid 0+0+1\n");
});

test("a program line sees the variables, the rewound message and the delivery key", async () => {
  await startJoe({
    ".qmail-v-default":
      '|cat >/dev/null; echo "$LOCAL $EXT $DEFAULT $HOST2"\n|wc -c; echo $QMAILDELIVERY\n',
  });
  expect(await rig.outcome("joe-v-A.b@h.test.example", "12345\n", "s@x.example", "9.2")).toBe(
    "Kjoe-v-A.b v-A.b A.b h.test\n6\n9.2/2\ndid 0+0+2\n",
  );
});

test("a worker killed by a line answers Z, and others go on", async () => {
  const home = await startJoe({ ".qmail-die": "|kill -9 $PPID\n" });
  expect(await rig.outcome("joe-die@test.example")).toBe("Zqmail-local crashed.\n");
  expect(await rig.outcome("joe@test.example")).toBe("Kdid 1+0+0\n");
  expect(newMail(home)).toHaveLength(1);
});

test("program lines that sleep hold up nobody: neither files nor each other", async () => {
  const line = "|echo >> started; while test ! -f go; do sleep 0.05; done\n";
  const names = ["one", "two", "three", "four", "five"];
  const home = await startJoe(Object.fromEntries(names.map((name) => [`.qmail-${name}`, line])));
  const slow = [...names, ...names].map((name) => rig.deliver(`joe-${name}@test.example`));
  for (let n = 0; n < 5; n++) {
    expect(await rig.outcome("joe@test.example")).toBe("Kdid 1+0+0\n");
  }
  const started = (): number => readFileSync(join(home, "started")).length;
  await expect.poll(started, { timeout: 10_000 }).toBe(slow.length);
  expect(slow.some((delivery) => rig.reports.has(delivery))).toBe(false);
  writeFileSync(join(home, "go"), "");
  for (const delivery of slow) expect((await rig.report(delivery)).text).toBe("did 0+0+1\n");
});

test("many deliveries at once all arrive, each once", async () => {
  const home = await startJoe({ ".qmail-p": "|exit 0\n" });
  const deliveries: number[] = [];
  for (let n = 0; n < 200; n++) {
    deliveries.push(
      rig.deliver(n % 10 === 0 ? "joe-p@test.example" : "joe@test.example", `N: ${n}\n\n`),
    );
  }
  for (const delivery of deliveries) expect((await rig.report(delivery)).verdict).toBe("K");
  expect(new Set(newMail(home)).size).toBe(180);
  expect(newMail(home)).toHaveLength(180);
  expect(rig.workerUids.length).toBeLessThanOrEqual(4);
});

test("workers leave when lspawn dies", async () => {
  await startJoe({});
  await rig.outcome("joe@test.example");
  const workers = rig.workerPids();
  expect(workers).toHaveLength(1);
  rig.killLspawn();
  await rig.until(() => workers.every((pid) => !existsSync(`/proc/${pid}/exe`)));
});

test("asked to stop, lspawn lets a running delivery report and exits 0", async () => {
  const home = await startJoe({
    ".qmail-slow": "|touch began; while test ! -f go; do sleep 0.02; done\n",
  });
  const delivery = rig.deliver("joe-slow@test.example");
  await rig.until(() => existsSync(join(home, "began")));
  rig.askToStop();
  writeFileSync(join(home, "go"), "");
  expect((await rig.report(delivery)).verdict).toBe("K");
  await rig.until(() => rig.exitCode !== undefined);
  expect(rig.exitCode).toBe(0);
});

test("a value that looks like a shell function never reaches a program", async () => {
  await startJoe({ ".qmail-v-default": "|true\n", ".qmail-m-default": "./Maildir/\n" });
  expect(await rig.outcome("joe-v-x@h.example", "x\n", "() { :;}; touch hit@x.example")).toBe(
    "DRefusing a shell function in the variable SENDER. (#5.7.1)\n",
  );
  expect(await rig.outcome("joe-m-x@h.example", "x\n", "() { :;}@x.example")).toBe("Kdid 1+0+0\n");
});

test("the environment of workers has our programs first in PATH and nothing of node", async () => {
  await startJoe({ ".qmail-e": '|echo "$PATH" | cut -d: -f1; env | grep -c ^NODE_\n' });
  expect(await rig.outcome("joe-e@h.example")).toBe(`Z${root}/bin\n0\n`);
});

test("the code that runs as root loads no package", () => {
  const seen = new Set<string>();
  const visit = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    const text = readFileSync(join(root, "dist", file), "utf8");
    for (const [, from = ""] of text.matchAll(/^(?:import|export)\b[^"]*"([^"]+)";$/gm)) {
      if (from.startsWith(".")) visit(join(file, "..", from));
      else expect(from).toMatch(/^node:/);
    }
    expect(text).not.toMatch(/\bimport\("(?!node:|\.)/);
  };
  visit("qmail-lspawn.entry.js");
  expect(seen.size).toBeGreaterThan(1);
});

test("QMAILQUEUE of the site takes what is forwarded", async () => {
  const home = rig.userHome("joe", { ".qmail": "ann@x.example\n" }, own.uid);
  const program = join(home, "qq");
  writeFileSync(program, `#!/bin/sh\ncat > ${home}/message\n`, { mode: 0o755 });
  rig.assign(`=joe:joe:1:1:${home}:::`);
  await rig.start({ ...own, env: { QMAILQUEUE: program } });
  expect(await rig.outcome("joe@test.example")).toMatch(/^Kdid 0\+1\+0\nqp /);
  expect(rig.mails).toHaveLength(0);
  expect(readFileSync(join(home, "message"), "utf8")).toContain("Delivered-To: joe@test.example");
});
