/**
 * Makes file names no other delivery on any machine uses: `time.M<us>P<pid>Q<count>R<random>.host`. The
 * 64 random bits of the process are what a second machine with the same name, or a container with the
 * same pid, does not have. maildir(5).
 */
import { randomHex } from "../../lib/random.ts";

export class MaildirNames {
  private count = 0;
  private readonly random = randomHex(8);
  private readonly pid: number;
  private readonly hostname: string;

  constructor(pid: number, hostname: string) {
    this.pid = pid;
    this.hostname = hostname.replaceAll("/", "\\057").replaceAll(":", "\\072");
  }

  next(now: Date): string {
    const milliseconds = now.getTime();
    const seconds = Math.floor(milliseconds / 1000);
    const micro = Math.floor((milliseconds % 1000) * 1000);
    return `${seconds}.M${micro}P${this.pid}Q${++this.count}R${this.random}.${this.hostname}`;
  }
}
