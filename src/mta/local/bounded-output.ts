/** Output of a delivery, kept up to a limit: what programs print becomes the report. */
import type { Output } from "../../lib/program.ts";

export class BoundedOutput implements Output {
  private readonly parts: Buffer[] = [];
  private readonly limitBytes: number;
  private size = 0;

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  write(data: string | Uint8Array): void {
    const room = this.limitBytes - this.size;
    if (room <= 0) return;
    const bytes = Buffer.from(data).subarray(0, room);
    this.parts.push(bytes);
    this.size += bytes.length;
  }

  flush(): Promise<void> {
    return Promise.resolve();
  }

  bytes(): Buffer {
    return Buffer.concat(this.parts);
  }
}
