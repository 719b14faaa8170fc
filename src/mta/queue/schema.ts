/**
 * Schema of `queue/queue.db` as numbered migrations; never edit one that was released.
 *
 * A recipient is not a row. A job row holds up to a slot's worth of recipients of one message for
 * one site in one blob, with a bit per settled one: 100,000 recipients are 500 rows, fan-out and
 * marks cost a fraction of a microsecond each, and a finished slot is one DELETE.
 *
 * `job.tries` is neither read nor written: the schedule needs the age alone. The column stays, since dropping
 * it would write the whole table of a long queue anew.
 */
import type { Migration } from "../../lib/sqlite.ts";

export const queueMigrations: readonly Migration[] = [
  {
    number: 1,
    sql: `
CREATE TABLE message (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  state INTEGER NOT NULL,               -- 1 todo, 2 active, 3 bouncing (states.ts)
  class INTEGER NOT NULL,               -- 0 bounce or reply, 1 ordinary, 2 bulk
  born INTEGER NOT NULL,                -- seconds
  uid INTEGER NOT NULL,
  sender TEXT NOT NULL,
  size INTEGER NOT NULL,                -- bytes, with our Received line
  body_type INTEGER NOT NULL DEFAULT 1, -- 0 7bit, 1 8bit, 2 binary
  smtputf8 INTEGER NOT NULL DEFAULT 0,
  require_tls INTEGER NOT NULL DEFAULT 0,
  ret TEXT,                             -- RFC 3461
  envid TEXT,
  body_hash BLOB,                       -- SHA-256 of the stored message
  spilled INTEGER NOT NULL,             -- 1: body in queue/mess/ID
  envelope_spilled INTEGER NOT NULL,    -- 1: recipients in queue/mess/ID.envelope
  envelope_bytes INTEGER NOT NULL,
  cursor INTEGER NOT NULL DEFAULT 0,    -- envelope bytes expanded so far
  expanded INTEGER NOT NULL DEFAULT 0,  -- recipients expanded so far
  jobs INTEGER NOT NULL DEFAULT 0,      -- job rows left
  failures INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX message_state ON message (state, id) WHERE state <> 2;
CREATE TABLE body (message INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE envelope (message INTEGER PRIMARY KEY, packed BLOB NOT NULL);
CREATE TABLE job (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  message INTEGER NOT NULL,
  site TEXT NOT NULL,                   -- R and domain or relay, L and local address group
  class INTEGER NOT NULL,
  next_at INTEGER NOT NULL,             -- seconds
  tries INTEGER NOT NULL DEFAULT 0,
  count INTEGER NOT NULL,               -- recipients
  settled BLOB,                         -- bit per recipient; NULL none
  ordinals BLOB,                        -- u32 each; local jobs, where they differ from 0, 1, 2
  dsn BLOB,                             -- NOTIFY NUL ORCPT NUL each; NULL none (RFC 3461)
  packed BLOB NOT NULL                  -- original NUL routed NUL each; routed empty = same
);
CREATE INDEX job_due ON job (site, class, next_at, id);
CREATE INDEX job_message ON job (message);
CREATE TABLE failure (
  id INTEGER PRIMARY KEY,
  message INTEGER NOT NULL,
  paragraph TEXT NOT NULL
);
CREATE INDEX failure_message ON failure (message, id);
CREATE TABLE submission (
  key TEXT NOT NULL,
  uid INTEGER NOT NULL,
  message INTEGER NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (key, uid)
) WITHOUT ROWID;
`,
  },
  {
    number: 2,
    sql: `
ALTER TABLE message ADD COLUMN prefix TEXT NOT NULL DEFAULT ''; -- lib/header-prefix.ts
`,
  },
  {
    number: 3,
    sql: `
ALTER TABLE job ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0; -- how often it was out when something died
`,
  },
];
