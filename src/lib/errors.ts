/**
 * The two errors a program may throw on purpose. Everything else is a bug and counts as temporary,
 * so that no message is lost to it. Texts end in an enhanced code as `(#5.1.1)` (RFC 3463).
 */

/** The caller should try again later: exit code 111, SMTP 4xx, report `Z`. */
export class TemporaryError extends Error {
  override readonly name = "TemporaryError";
  readonly exitCode = 111;
}

/** Trying again is of no use: exit code 100, SMTP 5xx, report `D`. */
export class PermanentError extends Error {
  override readonly name = "PermanentError";
  readonly exitCode = 100;
}

/** Wrong command line. The text is the usage line; exit code 100. */
export class UsageError extends PermanentError {}

/** Whether `error` is a system error with one of these codes, as `isErrno(e, "ENOENT", "ENOTDIR")`. */
export function isErrno(error: unknown, ...codes: string[]): error is NodeJS.ErrnoException {
  return (
    error instanceof Error &&
    "code" in error &&
    typeof error.code === "string" &&
    codes.includes(error.code)
  );
}

const errnoWords: Record<string, string> = {
  ENOENT: "file does not exist",
  EACCES: "access denied",
  EPERM: "permission denied",
  EEXIST: "file already exists",
  ENOTDIR: "not a directory",
  EISDIR: "is a directory",
  ELOOP: "symbolic link loop",
  ENOTEMPTY: "directory not empty",
  ENAMETOOLONG: "file name too long",
  EROFS: "read-only file system",
  ENOSPC: "out of disk space",
  EDQUOT: "disk quota exceeded",
  EIO: "input/output error",
  ENOMEM: "out of memory",
  EMFILE: "too many open files",
  ENFILE: "too many open files in system",
  EADDRINUSE: "address already used",
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset",
  ETIMEDOUT: "timed out",
  EHOSTUNREACH: "host unreachable",
  ENETUNREACH: "network unreachable",
  EPIPE: "broken pipe",
};

/** What went wrong, in the words qmail tools use; never the text of a stranger. */
export function errorText(error: unknown): string {
  if (error instanceof Error && "code" in error && typeof error.code === "string") {
    return errnoWords[error.code] ?? error.code;
  }
  return error instanceof Error ? error.message : String(error);
}

/** Causes further down than this say nothing new. */
const CAUSES = 5;

/**
 * What went wrong and what caused it, as `unable to open mutex: access denied`: for a log line of ours. No names
 * of files, which may be a stranger's.
 */
export function causeText(error: unknown): string {
  let text = fullText(error);
  let one = error;
  for (let depth = 0; depth < CAUSES && one instanceof Error && one.cause; depth++) {
    one = one.cause;
    const why = fullText(one);
    if (!text.includes(why)) text += `: ${why}`;
  }
  return text;
}

/** As `errorText`; of what is no system error the code alone would say too little. */
function fullText(error: unknown): string {
  const text = errorText(error);
  if (!(error instanceof Error) || text === error.message || "syscall" in error) return text;
  return "code" in error && text === error.code ? `${error.message} (${text})` : text;
}

/** System errors after which an open or exec may work later. qmail reference 8.8. */
const temporaryErrnos = new Set(
  (
    "EINTR ENOMEM ETXTBSY EIO ETIMEDOUT EWOULDBLOCK EAGAIN EDEADLK EBUSY ENFILE EMFILE EFBIG ENOSPC " +
    "ENETDOWN ENETUNREACH ENETRESET ECONNABORTED ECONNRESET ENOBUFS ETOOMANYREFS ECONNREFUSED " +
    "EHOSTDOWN EHOSTUNREACH EPROCLIM EUSERS EDQUOT ESTALE ENOLCK"
  ).split(" "),
);

/** Whether a failed open or exec is worth another try. Unknown errors are not system errors: temporary. */
export function isTemporaryErrno(error: unknown): boolean {
  if (error instanceof Error && "code" in error && typeof error.code === "string") {
    return temporaryErrnos.has(error.code);
  }
  return true;
}
