/** A Host for another program that runs as part of this one: the same process, other arguments. */
import type { MessageInput } from "./message-input.ts";
import type { Environment, Host, Output } from "./program.ts";

export interface HostChanges {
  readonly args?: readonly string[];
  readonly env?: Environment;
  readonly stdin?: MessageInput;
  readonly stdout?: Output;
  readonly stderr?: Output;
}

/** Everything of `host` but what is changed; nothing of it is shared that could be spread wrong. */
export function deriveHost(host: Host, changes: HostChanges): Host {
  return {
    args: changes.args ?? host.args,
    env: changes.env ?? host.env,
    cwd: host.cwd,
    stdin: changes.stdin ?? host.stdin,
    stdout: changes.stdout ?? host.stdout,
    stderr: changes.stderr ?? host.stderr,
    queue: host.queue,
    commands: host.commands,
    signal: host.signal,
    home: host.home,
    root: host.root,
    uid: host.uid,
    gid: host.gid,
    pid: host.pid,
    signalGroup: host.signalGroup,
    ...(host.process && { process: host.process }),
    ...(host.deliveryKey === undefined ? {} : { deliveryKey: host.deliveryKey }),
    now: () => host.now(),
  };
}
