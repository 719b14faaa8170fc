/**
 * What each figure ought to be, and what others published about a peer. Both are told apart from what a run
 * measures. Targets hold for two cores over loopback, everything durable; `at` names the percentile that counts.
 */
export const targets = {
  "fan-out with VERP, 100000 subscribers": { value: 30_000 },
  "fan-out with VERP, 100000 subscribers, concurrency 255": { value: 30_000 },
  "fan-out with VERP, 10000 subscribers": { value: 30_000 },
  "fan-out, a connection for each": { value: 6_000 },
  "fan-out with TLS": { value: 15_000 },
  "fan-out with fields of each copy": { value: 15_000 },
  "fan-out without VERP, 100000 recipients": { value: 100_000 },
  "first copy taken after the 250, 1 subscribers": { value: 10, at: "p50" },
  "first copy taken after the 250, 1000 subscribers": { value: 10, at: "p50" },
  "first copy taken after the 250, 100000 subscribers": { value: 10, at: "p50" },
  "250 after the final dot during a big post": { value: 50, at: "p99" },
  "intake, new connection each": { value: 6_000 },
  "intake, connections reused": { value: 12_000 },
  "intake, new connection each, 100 clients": { value: 6_000 },
  "intake, connections reused, 100 clients": { value: 12_000 },
  "intake, connections reused, pipelining": { value: 12_000 },
  "intake, connections reused, pipelining, 100 clients": { value: 12_000 },
  "intake to Maildir": { value: 3_000 },
  "intake to Maildir, 100 clients": { value: 3_000 },
  "intake to Maildir, connections reused": { value: 3_000 },
  "intake to Maildir, connections reused, 100 clients": { value: 3_000 },
  "qmail-inject, start to durable": { value: 40 },
  "editor chain of a post, no subscribers, CPU": { value: 3 },
  "claim of the next 100, 1000000 queued": { value: 1 },
  "queue on disk, 1000000 recipients": { value: 180 },
  "qmail-send with 1000000 queued, 900000 at a dead site": { value: 200 },
  "add 1000000 subscribers from a file": { value: 10 },
  "look-up among 1000000 subscribers": { value: 10 },
  "list 1000000 subscribers": { value: 0.5 },
};

/** notqmail 1.09 with ezmlm-idx, as published for a 2-core machine of this kind. Not measured here. */
export const published = {
  "fan-out with VERP, 100000 subscribers": ["notqmail", 430],
  "fan-out with VERP, 10000 subscribers": ["notqmail", 430],
  "fan-out with VERP, 100000 subscribers, concurrency 255": ["notqmail", 1_950],
  "intake, new connection each": ["notqmail", 565],
  "intake, connections reused": ["notqmail", 987],
  "intake to Maildir": ["notqmail", 415],
  "ezmlm-sub, 100000 from a file": ["notqmail", 33_000],
};
