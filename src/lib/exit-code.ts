/**
 * The two exit code tables: what a delivery command means to qmail-local (qmail-command), and what
 * qmail-queue means to its callers (qmail-queue). Nothing else in the code knows a number by heart.
 */

/** 0 go on, 99 stop with success, 100 permanent, 111 temporary; others as the tables below say. */
export type ExitCode = number;

export const SUCCESS = 0;
export const STOP = 99;
export const PERMANENT = 100;
export const TEMPORARY = 111;

/** What the exit code of a program line in a .qmail file means. */
export type CommandVerdict = "continue" | "stop" | "permanent" | "temporary";

const permanentCommandCodes = new Set([100, 64, 65, 70, 76, 77, 78, 112]);

/** qmail-command: 0, 99, the permanent ones; every other code is temporary. */
export function commandVerdict(code: ExitCode): CommandVerdict {
  if (code === SUCCESS) return "continue";
  if (code === STOP) return "stop";
  return permanentCommandCodes.has(code) ? "permanent" : "temporary";
}

/** A verdict of the queue on a submission: `K` taken, `Z` try later, `D` refused; text without letter. */
export interface QueueVerdict {
  readonly letter: "K" | "Z" | "D";
  readonly text: string;
}

const queueTexts: Record<number, string> = {
  11: "Denvelope address too long for qq (#5.1.3)",
  115: "Denvelope address too long for qq (#5.1.3)",
  31: "Dmail server permanently rejected message (#5.3.0)",
  51: "Zqq out of memory (#4.3.0)",
  52: "Zqq timeout (#4.3.0)",
  53: "Zqq write error or disk full (#4.3.0)",
  54: "Zqq read error (#4.3.0)",
  55: "Zqq unable to read configuration (#4.3.0)",
  56: "Zqq trouble making network connection (#4.3.0)",
  61: "Zqq trouble in home directory (#4.3.0)",
  71: "Zmail server temporarily rejected message (#4.3.0)",
  72: "Zconnection to mail server timed out (#4.4.1)",
  73: "Zconnection to mail server rejected (#4.4.1)",
  74: "Zcommunication with mail server failed (#4.4.2)",
  81: "Zqq internal bug (#4.3.0)",
  91: "Zqq internal bug (#4.3.0)",
  120: "Zunable to exec qq (#4.3.0)",
};

/**
 * What a qmail-queue (ours, or the program in QMAILQUEUE) said by its exit code.
 * `customText` is what it wrote to descriptor 6; used with exit 82 when its first byte is D or Z.
 */
export function queueVerdict(code: ExitCode, customText = ""): QueueVerdict {
  if (code === SUCCESS) return { letter: "K", text: "" };
  if (code === 82 && customText.length > 2 && (customText[0] === "D" || customText[0] === "Z")) {
    return { letter: customText[0], text: customText.slice(1, 256) };
  }
  const known =
    queueTexts[code] ??
    (code >= 62 && code <= 66
      ? "Zqq trouble creating files in queue (#4.3.0)"
      : code >= 11 && code <= 40
        ? "Dqq permanent problem (#5.3.0)"
        : "Zqq temporary problem (#4.3.0)");
  return { letter: known[0] === "D" ? "D" : "Z", text: known.slice(1) };
}
