/**
 * NAME         ezmlm-get - send messages from the archive, and digests
 * SYNOPSIS     ezmlm-get [-bBcCpPsSvV] [-f format] DIR [digestcode]
 * DESCRIPTION  In DIR/manager it answers get, index, thread and dig and stops
 *              the file with 99; anything else it leaves to the next line. In
 *              DIR/editor (LOCAL set, DEFAULT not set) and on a command line
 *              (LOCAL not set) it sends a digest of every message since the
 *              last one to the database digest.
 *              get[F].N_M      messages N to M, at most 100
 *              index.N_M       subjects and authors, by hundreds
 *              thread[F].N     what has the subject of message N
 *              dig.CODE[F]     a digest, for those who know the code
 *              digest          what came after the last digest
 *              F is a format: m multipart/digest with few header fields, x the
 *              same as multipart/mixed, v and n with whole headers (n also
 *              without topics), r plain text.
 * OPTIONS      -b, -B  end with the text bottom and a copy of the request, or
 *                      not (file omitbottom)
 *              -c, -C  serve get, index and thread, or only digests
 *              -f format  instead of the one in DIR/digformat
 *              -p, -P  archive for everybody, or for moderators only
 *              -s, -S  archive for subscribers only (subgetonly), or not
 *              -v, -V  print the version
 * ENVIRONMENT  LOCAL, DEFAULT, SENDER
 * FILES        archived indexed public modgetonly subgetonly digestcode
 *              digformat digheaders num dignum digissue archive/ headeradd
 * EXIT CODES   0 not for us; digest sent, or nothing to send. 99 answered.
 *              100 refused. 111 try again.
 * STANDARDS    RFC 1153 (digests), RFC 2046 (multipart/digest)
 * BUGS         DIR/chunk is not used: one submission serves any number of
 *              subscribers.
 * SEE ALSO     ezmlm-tstdig, ezmlm-idx, ezmlm-manage
 */
import { asciiLower } from "../../lib/address.ts";
import { PermanentError } from "../../lib/errors.ts";
import { type ExitCode, STOP, SUCCESS } from "../../lib/exit-code.ts";
import { findField } from "../../lib/header.ts";
import { OptionTable, type ParsedOptions } from "../../lib/option.ts";
import type { Host } from "../../lib/program.ts";
import type { List } from "../list/list.ts";
import { listProgram } from "../list/list-program.ts";
import { requireSender } from "../list/sender.ts";
import { versionRows } from "../list/version.ts";
import { findModerator } from "../manage/moderators.ts";
import { isPlainAddress } from "../manage/request.ts";
import { readHead } from "../reply/message-head.ts";
import { catalogue } from "../reply/texts.ts";
import { answerFromArchive } from "./archive-reply.ts";
import { sendDigest } from "./digest.ts";
import { type ArchiveFormat, type GetRequest, parseDigest, parseGet } from "./get-request.ts";

const table = new OptionTable(
  "ezmlm-get",
  [
    { letter: "b", help: "end with the text bottom and a copy of the request" },
    { letter: "B", negates: "b", help: "leave them out (file omitbottom)" },
    { letter: "c", help: "serve get, index and thread (default)" },
    { letter: "C", negates: "c", help: "serve only digests" },
    { letter: "f", argument: "format", help: "m x v n or r (file digformat)" },
    { letter: "p", help: "the archive is for everybody" },
    { letter: "P", negates: "p", help: "the archive is for moderators" },
    { letter: "s", help: "the archive is for subscribers (file subgetonly)" },
    { letter: "S", negates: "s", help: "it is not only for subscribers" },
    ...versionRows,
  ],
  "DIR [digestcode]",
);

export const ezmlmGet = listProgram(
  table,
  async (host, list, parsed, [code]) => {
    const { LOCAL, DEFAULT } = host.env;
    if (LOCAL === undefined || LOCAL === "" || DEFAULT === undefined) {
      requireArchive(host, list);
      return await digest(host, list, formatOf(list, parsed.value("f")), SUCCESS);
    }
    if (DEFAULT === "") return SUCCESS;
    return await command(host, list, parsed, DEFAULT, code ?? list.line("digestcode"));
  },
  { operands: 1 },
);

async function command(
  host: Host,
  list: List,
  parsed: ParsedOptions,
  extension: string,
  code: string | undefined,
): Promise<ExitCode> {
  const asked = parseGet(extension);
  const digestCode = parseDigest(extension);
  if (!asked && digestCode === undefined) return SUCCESS;
  requireArchive(host, list);
  const sender = requireSender(host);
  const head = await readHead(host.stdin);
  if (findField(head.fields, "Mailing-List")) throw refusal(host, list, "ERR_MAILING_LIST");
  const own = `Delivered-To: responder for ${list.address}`;
  if (head.fields.some((field) => field.raw === Buffer.from(own).toString("latin1"))) {
    throw refusal(host, list, "ERR_LOOPING");
  }
  if (digestCode !== undefined) {
    const format = checkDigestCode(host, list, digestCode, code);
    return digest(host, list, formatOf(list, format || parsed.value("f")), STOP);
  }
  if (!asked) return SUCCESS;
  if (parsed.flag("c") === false) throw refusal(host, list, "ERR_NOT_AVAILABLE");
  if (asked.word !== "get" && !list.has("indexed")) throw refusal(host, list, "ERR_NOT_INDEXED");
  const to = await requireReader(host, list, parsed, sender);
  const id = await answerFromArchive(host, list, {
    request: asked,
    command: commandName(asked, extension),
    format: asked.format ?? formatOf(list, parsed.value("f")),
    sender,
    to,
    head,
    bottom: parsed.flag("b") ?? !list.has("omitbottom"),
  });
  host.stderr.write(`ezmlm-get: info: qp ${id}\n`);
  return STOP;
}

async function digest(
  host: Host,
  list: List,
  format: ArchiveFormat,
  done: ExitCode,
): Promise<ExitCode> {
  const id = await sendDigest(host, list, format);
  host.stderr.write(
    id === undefined
      ? `ezmlm-get: fatal: ${catalogue(host, list, "ERR_EMPTY_DIGEST")}\n`
      : `ezmlm-get: info: qp ${id}\n`,
  );
  return done;
}

/** Without `-user=host`, which ezmlm-request appends. */
function commandName(request: GetRequest, extension: string): string {
  return request.first === undefined
    ? (extension.split("-", 1)[0] ?? "")
    : extension.replace(/-[^-]*=.*$/s, "");
}

/** The format letter behind a right code, "" when there is none. */
function checkDigestCode(host: Host, list: List, given: string, code: string | undefined): string {
  const isRight =
    code !== undefined && code !== "" && asciiLower(given).startsWith(asciiLower(code));
  if (!isRight) throw refusal(host, list, "ERR_BAD_DIGCODE");
  return given.slice(code.length, code.length + 1);
}

/** Whether SENDER may read the archive; where the answer goes. */
async function requireReader(
  host: Host,
  list: List,
  parsed: ParsedOptions,
  sender: string,
): Promise<string> {
  if (!isPlainAddress(sender)) throw refusal(host, list, "ERR_BAD_ADDRESS");
  const recorded = list.has("remote") ? await findModerator(list, sender) : undefined;
  if (recorded !== undefined) return recorded;
  const isOpen = parsed.flag("p") ?? (list.has("public") && !list.has("modgetonly"));
  if (!isOpen) throw refusal(host, list, "ERR_NOT_ALLOWED");
  if (parsed.flag("s") ?? list.has("subgetonly")) {
    for (const name of ["", "digest", "allow"]) {
      if ((await list.db(name).has(sender)) !== undefined) return sender;
    }
    throw refusal(host, list, "ERR_SUBSCRIBER_CAN");
  }
  return sender;
}

function formatOf(list: List, option: string | undefined): ArchiveFormat {
  const letter = (option ?? list.line("digformat") ?? "m").charAt(0).toLowerCase();
  return "mrvnx".includes(letter) && letter !== "" ? (letter as ArchiveFormat) : "m";
}

function requireArchive(host: Host, list: List): void {
  if (!list.has("archived")) throw refusal(host, list, "ERR_NOT_ARCHIVED");
}

function refusal(host: Host, list: List, key: string): PermanentError {
  return new PermanentError(catalogue(host, list, key));
}
