/** fsync of directories: one at a time per directory, and requests that arrive meanwhile share the next. */
import { closeSync, fsync, fsyncSync, openSync } from "node:fs";

interface Waiting {
  resolve(): void;
  reject(error: unknown): void;
}

export class DirectorySyncs {
  private readonly running = new Map<string, Waiting[]>();

  /** Durable when it resolves. */
  request(directory: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiting = this.running.get(directory);
      if (waiting) {
        waiting.push({ resolve, reject });
        return;
      }
      this.running.set(directory, []);
      this.run(directory, [{ resolve, reject }]);
    });
  }

  private run(directory: string, batch: readonly Waiting[]): void {
    const finish = (error: unknown): void => {
      for (const one of batch) error ? one.reject(error) : one.resolve();
      const next = this.running.get(directory) ?? [];
      if (next.length === 0) {
        this.running.delete(directory);
        return;
      }
      this.running.set(directory, []);
      this.run(directory, next);
    };
    let fd: number;
    try {
      fd = openSync(directory, "r");
    } catch (error) {
      finish(error);
      return;
    }
    fsync(fd, (error) => {
      closeSync(fd);
      finish(error);
    });
  }
}

/** At once, in this thread. */
export function syncDirectoryNow(directory: string): void {
  const fd = openSync(directory, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
