/**
 * Every program by the name of its command. Loaded when called, so that a command costs only itself.
 * `bin/NAME` is a link to the dispatcher for each row; the local worker runs the same rows in process.
 */
import type { Program } from "./lib/program.ts";

type Load = () => Promise<Program>;

/** One row per program; kept in alphabetical order. */
export const programs: Readonly<Record<string, Load>> = {
  bouncesaying: async () => (await import("./mta/forward/bouncesaying.ts")).bouncesaying,
  condredirect: async () => (await import("./mta/forward/condredirect.ts")).condredirect,
  datemail: async () => (await import("./mta/inject/datemail.ts")).datemail,
  except: async () => (await import("./mta/forward/except.ts")).except,
  "ezmlm-accept": async () => (await import("./ezmlm/post/ezmlm-accept.ts")).ezmlmAccept,
  "ezmlm-archive": async () => (await import("./ezmlm/archive/ezmlm-archive.ts")).ezmlmArchive,
  "ezmlm-checksub": async () =>
    (await import("./ezmlm/subscribers/ezmlm-checksub.ts")).ezmlmChecksub,
  "ezmlm-clean": async () => (await import("./ezmlm/post/ezmlm-clean.ts")).ezmlmClean,
  "ezmlm-confirm": async () => (await import("./ezmlm/post/ezmlm-confirm.ts")).ezmlmConfirm,
  "ezmlm-gate": async () => (await import("./ezmlm/post/ezmlm-gate.ts")).ezmlmGate,
  "ezmlm-get": async () => (await import("./ezmlm/archive/ezmlm-get.ts")).ezmlmGet,
  "ezmlm-idx": async () => (await import("./ezmlm/archive/ezmlm-idx.ts")).ezmlmIdx,
  "ezmlm-import": async () => (await import("./ezmlm/archive/ezmlm-import.ts")).ezmlmImport,
  "ezmlm-issubn": async () => (await import("./ezmlm/subscribers/ezmlm-issubn.ts")).ezmlmIssubn,
  "ezmlm-limit": async () => (await import("./ezmlm/post/ezmlm-limit.ts")).ezmlmLimit,
  "ezmlm-list": async () => (await import("./ezmlm/subscribers/ezmlm-list.ts")).ezmlmList,
  "ezmlm-make": async () => (await import("./ezmlm/make/ezmlm-make.ts")).ezmlmMake,
  "ezmlm-manage": async () => (await import("./ezmlm/manage/ezmlm-manage.ts")).ezmlmManage,
  "ezmlm-moderate": async () => (await import("./ezmlm/post/ezmlm-moderate.ts")).ezmlmModerate,
  "ezmlm-reject": async () => (await import("./ezmlm/post/ezmlm-reject.ts")).ezmlmReject,
  "ezmlm-request": async () => (await import("./ezmlm/manage/ezmlm-request.ts")).ezmlmRequest,
  "ezmlm-return": async () => (await import("./ezmlm/bounces/ezmlm-return.ts")).ezmlmReturn,
  "ezmlm-rmtab": async () => (await import("./ezmlm/subscribers/ezmlm-rmtab.ts")).ezmlmRmtab,
  "ezmlm-send": async () => (await import("./ezmlm/post/ezmlm-send.ts")).ezmlmSend,
  "ezmlm-split": async () => (await import("./ezmlm/manage/ezmlm-split.ts")).ezmlmSplit,
  "ezmlm-store": async () => (await import("./ezmlm/post/ezmlm-store.ts")).ezmlmStore,
  "ezmlm-sub": async () => (await import("./ezmlm/subscribers/ezmlm-sub.ts")).ezmlmSub,
  "ezmlm-tstdig": async () => (await import("./ezmlm/archive/ezmlm-tstdig.ts")).ezmlmTstdig,
  "ezmlm-unsub": async () => (await import("./ezmlm/subscribers/ezmlm-unsub.ts")).ezmlmUnsub,
  "ezmlm-warn": async () => (await import("./ezmlm/bounces/ezmlm-warn.ts")).ezmlmWarn,
  "ezmlm-weed": async () => (await import("./ezmlm/bounces/ezmlm-weed.ts")).ezmlmWeed,
  "ezqmail-demo": async () => (await import("./demo/ezqmail-demo.ts")).ezqmailDemo,
  forward: async () => (await import("./mta/forward/forward.ts")).forward,
  maildirmake: async () => (await import("./mta/local/maildirmake.ts")).maildirmake,
  mailq: async () => (await import("./mta/inject/mailq.ts")).mailq,
  mailsubj: async () => (await import("./mta/inject/mailsubj.ts")).mailsubj,
  newaliases: async () => (await import("./mta/inject/newaliases.ts")).newaliases,
  predate: async () => (await import("./mta/inject/predate.ts")).predate,
  preline: async () => (await import("./mta/forward/preline.ts")).preline,
  qmail: async () => (await import("./mta/tools/qmail.ts")).qmail,
  "qmail-getpw": async () => (await import("./mta/local/qmail-getpw.ts")).qmailGetpw,
  "qmail-inject": async () => (await import("./mta/inject/qmail-inject.ts")).qmailInject,
  "qmail-local": async () => (await import("./mta/local/qmail-local.ts")).qmailLocal,
  "qmail-newmrh": async () => (await import("./mta/smtpd/qmail-newmrh.ts")).qmailNewmrh,
  "qmail-newu": async () => (await import("./mta/local/qmail-newu.ts")).qmailNewu,
  "qmail-qread": async () => (await import("./mta/tools/qmail-qread.ts")).qmailQread,
  "qmail-qstat": async () => (await import("./mta/tools/qmail-qstat.ts")).qmailQstat,
  "qmail-queue": async () => (await import("./mta/inject/qmail-queue.ts")).qmailQueue,
  "qmail-remote": async () => (await import("./mta/remote/qmail-remote.ts")).qmailRemote,
  "qmail-setup": async () => (await import("./mta/start/qmail-setup.ts")).qmailSetup,
  "qmail-showctl": async () => (await import("./mta/tools/qmail-showctl.ts")).qmailShowctl,
  "qmail-smtpd": async () => (await import("./mta/smtpd/qmail-smtpd.ts")).qmailSmtpd,
  "qmail-start": async () => (await import("./mta/start/qmail-start.ts")).qmailStart,
  "qmail-tcpok": async () => (await import("./mta/remote/qmail-tcpok.ts")).qmailTcpok,
  "qmail-tcpto": async () => (await import("./mta/remote/qmail-tcpto.ts")).qmailTcpto,
  sendmail: async () => (await import("./mta/inject/sendmail.ts")).sendmail,
};

/** The program of that name, or undefined. */
export async function findProgram(name: string): Promise<Program | undefined> {
  return Object.hasOwn(programs, name) ? programs[name]?.() : undefined;
}
