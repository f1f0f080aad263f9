import { inflate } from './inflate.js';

/** A statement as the log has it, with what its client had set. */
export interface StatementEvent {
  /** That was current for it. */
  readonly database: string;
  /** Its bytes, one a character: in the client's character set, or in UTF-8 where the server worded it itself. */
  readonly sql: string;
  /** Of the client's character set; `null`: not said. */
  readonly collation: number | null;
  /** NO_BACKSLASH_ESCAPES and ANSI_QUOTES of its `sql_mode`. */
  readonly noEscapes: boolean;
  readonly ansiQuotes: boolean;
}

const ANSI_QUOTES = 1 << 2;
const NO_BACKSLASH_ESCAPES = 1 << 20;

/** Bytes of the settings that stand before the ones looked for, by number; of a text (2, 6) its length and it. */
const FLAGS = 0;
const SQL_MODE = 1;
const CATALOG_ENDED = 2;
const AUTO_INCREMENT = 3;
const CHARSET = 4;
const CATALOG = 6;

/** @param body of a QUERY event, without its head */
export function readStatement(body: Buffer, compressed: boolean): StatementEvent {
  const from = 13 + body.readUInt16LE(11);
  const { mode, collation } = settings(body.subarray(13, from));
  const end = from + body[8]!;
  const rest = body.subarray(end + 1);
  return {
    // The server's own, whatever the client has.
    database: body.toString('utf8', from, end),
    sql: (compressed ? inflate(rest) : rest).toString('latin1'),
    collation,
    noEscapes: (mode & NO_BACKSLASH_ESCAPES) !== 0,
    ansiQuotes: (mode & ANSI_QUOTES) !== 0,
  };
}

/** They stand in the order of this function; what follows is of no concern. */
function settings(vars: Buffer): { readonly mode: number; readonly collation: number | null } {
  let mode = 0;
  for (let at = 0; at < vars.length;) {
    const kind = vars[at++]!;
    if (kind === FLAGS || kind === AUTO_INCREMENT) at += 4;
    else if (kind === SQL_MODE) {
      mode = vars.readUInt32LE(at);
      at += 8;
    } else if (kind === CATALOG || kind === CATALOG_ENDED) at += 1 + vars[at]! + (kind === CATALOG_ENDED ? 1 : 0);
    else return { mode, collation: kind === CHARSET ? vars.readUInt16LE(at) : null };
  }
  return { mode, collation: null };
}
