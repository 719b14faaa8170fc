/**
 * What the queue's threads say to each other: plain records that survive structured cloning, one
 * message per batch. Times are seconds since 1970, ids are whole numbers below 2^53.
 */

/** 0 bounces and replies, 1 ordinary mail, 2 bulk: lists and anything with very many recipients. */
export type MessageClass = 0 | 1 | 2;

/** A message as intake hands it over. Body and envelope are in memory or already fsynced in spills. */
export interface NewMessage {
  readonly id: number;
  readonly class: MessageClass;
  readonly born: number;
  readonly uid: number;
  readonly sender: string;
  readonly sizeBytes: number;
  /** 0 7bit, 1 8bit, 2 binary. */
  readonly bodyType: number;
  readonly hash: Uint8Array | null;
  /** null: in queue/mess/ID. */
  readonly body: Uint8Array | null;
  /** Recipients, each ended by NUL; null: in queue/mess/ID.envelope. */
  readonly envelope: Uint8Array | null;
  readonly envelopeBytes: number;
  /** Submission key, "" for none. */
  readonly key: string;
  /** Template of the fields each copy has for itself, "" for none. */
  readonly prefix: string;
}

/** What scheduling and delivering need to know of a message. */
export interface MessageRow {
  readonly id: number;
  readonly class: MessageClass;
  readonly born: number;
  readonly uid: number;
  readonly sender: string;
  readonly size: number;
  readonly bodyType: number;
  readonly spilled: number;
  readonly prefix: string;
}

/** Up to a slot of recipients of one message for one site. */
export interface JobRow {
  readonly id: number;
  readonly message: number;
  readonly site: string;
  readonly class: MessageClass;
  readonly nextAt: number;
  /** How often it was being delivered when a process died of which it may have been the reason. */
  readonly crashes: number;
  readonly count: number;
  readonly settled: Uint8Array | null;
  /** Local: number of each recipient in the message, u32 little-endian; null: 0, 1, 2 and so on. */
  readonly ordinals: Uint8Array | null;
  readonly packed: Uint8Array;
}

/** A job that is to be made: due at once, nothing settled. */
export type NewJob = Omit<JobRow, "id" | "crashes" | "settled">;

/** The first recipients of a message that is being accepted, as jobs. */
export interface FirstSlice {
  readonly jobs: readonly NewJob[];
  /** Envelope bytes they stand for; when that is all of it, nothing is left to expand. */
  readonly cursor: number;
}

/** What became of a job's recipients. */
export interface Mark {
  readonly job: number;
  readonly message: number;
  /** null: all of them are settled and the job is done. */
  readonly settled: Uint8Array | null;
  /** Set when the pass over the job ended with some unsettled: when to try those again. */
  readonly retryAt: number | null;
  /** With retryAt: at how many crashes it was out, one after the other. */
  readonly crashes: number;
  /** Bounce paragraphs of those that failed now. */
  readonly failures: readonly string[];
}

export interface Accepted {
  readonly id: number;
  /** Whether the key was known: `id` is the first message, this one was not queued. */
  readonly repeat: boolean;
  /** Id of the first job of the first slice, the others follow it; 0 none. */
  readonly firstJob: number;
}

export interface Expansion {
  /** Present with the first slice. */
  readonly begun: boolean;
  readonly message: MessageRow;
  readonly jobs: readonly JobRow[];
  readonly finished: boolean;
  /** Whether a file held the envelope, to be removed when finished. */
  readonly envelopeSpilled: boolean;
  /** How the message ended with its last slice, when nothing is left to deliver. */
  readonly end: MessageEnd | undefined;
}

export interface MessageEnd {
  readonly message: number;
  readonly spilled: boolean;
  /** bounce: failures are noted and wait for the bounce. gone: deleted. */
  readonly end: "bounce" | "gone";
}

/** Routing tables as they travel to the writer thread. */
export interface RouteTables {
  readonly envnoathost: string;
  readonly locals: readonly string[];
  readonly percenthack: readonly string[];
  readonly virtualdomains: readonly (readonly [string, string])[];
  readonly smtproutes: readonly (readonly [string, string])[];
}

export type WriteOperation =
  /** What `slice` leaves is expanded later; null: all of it. */
  | { readonly kind: "accept"; readonly message: NewMessage; readonly slice: FirstSlice | null }
  | { readonly kind: "expand"; readonly message: number }
  | { readonly kind: "mark"; readonly marks: readonly Mark[] }
  | { readonly kind: "finish"; readonly message: number; readonly bounce: NewMessage | null }
  /** Make up to `limit` jobs of the lane that are later than `after` due at `at`; the answer is how many there were. */
  | {
      readonly kind: "due";
      readonly site: string;
      readonly class: number;
      readonly after: number;
      readonly at: number;
      readonly limit: number;
    }
  /** These were out when the last process died; they are due later. The answer: those it happened to again. */
  | { readonly kind: "crashed"; readonly jobs: readonly number[]; readonly now: number }
  | { readonly kind: "forgetKey"; readonly key: string; readonly uid: number }
  /** The submission keys of these deliveries go: they are settled. */
  | { readonly kind: "forgetKeysOf"; readonly deliveries: readonly string[] }
  /** Submission keys older than `before` go: their delivery cannot come again. */
  | { readonly kind: "sweepKeys"; readonly before: number }
  | { readonly kind: "route"; readonly tables: RouteTables };

export type WriteKind = WriteOperation["kind"];

/** What each operation answers. */
export interface WriteResults {
  accept: Accepted;
  /** null: the message is not in todo any more. */
  expand: Expansion | null;
  mark: readonly MessageEnd[];
  finish: MessageEnd;
  due: number;
  crashed: readonly CrashedJob[];
  forgetKey: null;
  forgetKeysOf: null;
  sweepKeys: number;
  route: null;
}

export type WriteAnswer =
  | { readonly ok: true; readonly value: WriteResults[WriteKind] }
  | { readonly ok: false; readonly code: string; readonly text: string };

/** After an error with such a code, as a failed fsync, nobody knows what is on disk: nothing is tried again. */
export const UNKNOWN_ON_DISK = /^SQLITE_(IOERR|CORRUPT|NOTADB)/;

/** A job that was out at more than one crash. */
export interface CrashedJob {
  readonly message: number;
  readonly site: string;
  readonly crashes: number;
}

/** Jobs with one fate by site and class. */
export interface LaneName {
  readonly site: string;
  readonly class: MessageClass;
}

/** When its earliest and its latest job are due. */
export interface LaneTimes extends LaneName {
  readonly nextAt: number;
  readonly lastAt: number;
}

export interface LanePage extends LaneName {
  readonly jobs: readonly JobRow[];
  /** When the earliest job not in this page is due; null none. */
  readonly nextAt: number | null;
}

export type ReadRequest =
  /** Due jobs of each lane, oldest first; also those that are in memory already. */
  | {
      readonly kind: "claim";
      readonly now: number;
      readonly lanes: readonly (LaneName & { readonly limit: number })[];
    }
  /** All lanes with their earliest and latest time, a page after the given one. */
  | { readonly kind: "lanes"; readonly after: LaneName | null; readonly limit: number }
  | {
      readonly kind: "state";
      readonly state: number;
      readonly after: number;
      readonly limit: number;
    }
  | { readonly kind: "messages"; readonly ids: readonly number[] }
  | { readonly kind: "body"; readonly message: number }
  | {
      readonly kind: "failures";
      readonly message: number;
      readonly after: number;
      readonly limit: number;
    }
  | { readonly kind: "counts" }
  | { readonly kind: "list"; readonly after: number; readonly limit: number }
  | {
      readonly kind: "jobsOf";
      readonly message: number;
      readonly after: number;
      readonly limit: number;
    }
  /** `restart`: the log is written from its beginning again, which waits for those who read it. */
  | { readonly kind: "checkpoint"; readonly restart: boolean };

export interface ReadResults {
  claim: { readonly pages: readonly LanePage[]; readonly messages: readonly MessageRow[] };
  lanes: readonly LaneTimes[];
  state: readonly number[];
  messages: readonly MessageRow[];
  body: Uint8Array | null;
  failures: readonly { readonly id: number; readonly paragraph: string }[];
  counts: { readonly messages: number; readonly todo: number; readonly lastMessage: number };
  list: readonly (MessageRow & { readonly state: number; readonly failures: number })[];
  jobsOf: readonly JobRow[];
  checkpoint: { readonly walPages: number };
}

export type ReadKind = ReadRequest["kind"];
