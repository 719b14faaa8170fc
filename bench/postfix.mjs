/**
 * A throw-away Postfix beside ours, as a peer in the same run: its own configuration, queue and data
 * directory, loopback only, ended by its own process id. Needs Debian's postfix package and root;
 * without either `Postfix.start` gives undefined and the ratios are left out.
 *
 * Debian's defaults, changed where a default would hold it back here: no pause in cleanup when the queue is
 * slow (in_flow_delay), 200 processes of a kind, 20 deliveries at once as ours, no connection rate watch.
 */
import { spawnSync } from "node:child_process";
import { chownSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Log } from "./log.mjs";
import { ProcessTree, sleep } from "./measure.mjs";
import { freshDirectory } from "./site.mjs";
import { freePort, reachable } from "./smtp.mjs";

const services = `
pickup    unix  n  -  n  60    1  pickup
cleanup   unix  n  -  n  -     0  cleanup
qmgr      unix  n  -  n  300   1  qmgr
rewrite   unix  -  -  n  -     -  trivial-rewrite
bounce    unix  -  -  n  -     0  bounce
defer     unix  -  -  n  -     0  bounce
trace     unix  -  -  n  -     0  bounce
flush     unix  n  -  n  1000? 0  flush
proxymap  unix  -  -  n  -     -  proxymap
smtp      unix  -  -  n  -     -  smtp
relay     unix  -  -  n  -     -  smtp
showq     unix  n  -  n  -     -  showq
error     unix  -  -  n  -     -  error
retry     unix  -  -  n  -     -  error
virtual   unix  -  n  n  -     -  virtual
scache    unix  -  -  n  -     1  scache
postlog   unix-dgram n - n -   1  postlogd
`;
/** In its log, a recipient that has a copy. */
export const sent = "status=sent";

/** Why no Postfix can be measured here, or undefined. */
export function missingPostfix() {
  if (!existsSync("/usr/sbin/postfix")) return "Debian's postfix is not installed";
  if (process.getuid() !== 0) return "Postfix can only be started by root";
  return undefined;
}

export class Postfix {
  /** `settings` go over those here. undefined when there is none. */
  static async start(settings = {}) {
    if (missingPostfix()) return undefined;
    const postfix = new Postfix();
    try {
      return await postfix.#start(settings);
    } catch (error) {
      await postfix.stop();
      throw error;
    }
  }

  async #start(settings) {
    this.base = freshDirectory("postfix-");
    this.etc = join(this.base, "etc");
    const log = join(this.base, "log");
    for (const dir of ["etc", "queue", "data", "mail"]) mkdirSync(join(this.base, dir));
    const [uid, gid] = ["-u", "-g"].map((flag) =>
      Number(spawnSync("id", [flag, "postfix"], { encoding: "utf8" }).stdout),
    );
    chownSync(join(this.base, "data"), uid, gid);
    chownSync(join(this.base, "mail"), 65534, 65534);
    this.port = await freePort();
    const main = {
      compatibility_level: "3.6",
      queue_directory: join(this.base, "queue"),
      data_directory: join(this.base, "data"),
      maillog_file: log,
      maillog_file_prefixes: this.base,
      inet_interfaces: "127.0.0.1",
      inet_protocols: "ipv4",
      myhostname: "bench.test",
      mydestination: "",
      alias_maps: "",
      mynetworks: "127.0.0.0/8",
      virtual_mailbox_domains: "local.test",
      virtual_mailbox_base: join(this.base, "mail"),
      virtual_mailbox_maps: "static:Maildir/",
      virtual_uid_maps: "static:65534",
      virtual_gid_maps: "static:65534",
      default_process_limit: "200",
      default_destination_concurrency_limit: "20",
      in_flow_delay: "0",
      smtpd_client_connection_count_limit: "0",
      smtpd_recipient_limit: "200000",
      smtpd_authorized_verp_clients: "127.0.0.0/8",
      ...settings,
    };
    writeFileSync(
      join(this.etc, "main.cf"),
      Object.entries(main)
        .map(([name, value]) => `${name} = ${value}\n`)
        .join(""),
    );
    writeFileSync(
      join(this.etc, "master.cf"),
      `${services}127.0.0.1:${this.port} inet n - n - - smtpd\n`,
    );
    writeFileSync(log, "");
    const run = spawnSync("postfix", ["-c", this.etc, "start"], {
      encoding: "utf8",
      stdio: ["ignore", "ignore", "pipe"],
    });
    if (run.status !== 0) throw new Error(`postfix: ${run.stderr}${readFileSync(log)}`);
    this.pid = Number(readFileSync(join(this.base, "queue", "pid", "master.pid"), "latin1"));
    this.log = new Log(log);
    await reachable(this.port);
    this.tree = new ProcessTree(this.pid);
    return this;
  }

  async stop() {
    if (this.pid) {
      process.kill(this.pid, "SIGTERM");
      while (existsSync(`/proc/${this.pid}`)) await sleep(20);
    }
    this.log?.close();
    rmSync(this.base, { recursive: true, force: true });
  }
}
