import type { JsonBuffer } from '@planasonix/json-buffer';
import { momentText } from '../decode/moments.js';
import { doubleText, floatText, plainNumber } from '../decode/numbers.js';
import { writeBase64, writeStoredJson } from '../decode/value-texts.js';
import { quoteIdent } from '../identifier.js';
import type { ColumnKind } from '../position.js';
import type { SourceColumn } from '../tables.js';

/** Writes what a server shows of a value as JSON: the same text as the log's bytes give (trap 22). */
export type ShownWriter = (out: JsonBuffer, shown: Buffer) => void;

export interface ShownColumn {
  /** What to ask for, ready for SQL. */
  readonly sql: string;
  readonly write: ShownWriter;
}

const [QUOTE, BACKSLASH, ZERO, MINUS, SPACE] = [0x22, 0x5c, 0x30, 0x2d, 0x20] as const;

const number =
  (text: (shown: string) => string): ShownWriter =>
  (out, shown) =>
    out.ascii(text(shown.toString('latin1')));

/** Of most numbers the digits are JSON as they are; zeros in front are looked at. */
const digits: ShownWriter = (out, shown) => {
  if (shown[shown[0] === MINUS ? 1 : 0] === ZERO) out.ascii(plainNumber(shown.toString('latin1')));
  else out.put(shown);
};

/** Longer ones are looked at several bytes at a time. */
const SHORT = 40;

const string: ShownWriter = (out, shown) => {
  const { length } = shown;
  if (length > SHORT) return out.string(shown, 0, length);
  for (let i = 0; i < length; i++) {
    const code = shown[i]!;
    if (code < SPACE || code === QUOTE || code === BACKSLASH) return out.string(shown, 0, length);
  }
  out.byte(QUOTE);
  out.put(shown);
  out.byte(QUOTE);
};

const base64: ShownWriter = (out, shown) => writeBase64(out, shown, 0, shown.length);
const moment =
  (zone: 'Z' | ''): ShownWriter =>
  (out, shown) =>
    out.ascii(`"${momentText(shown.toString('latin1'), zone)}"`);

/** What stands behind a backslash in the labels of the catalog. */
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', '0': '\0', Z: '\x1a', t: '\t', b: '\b' };

/** `set('a','it''s')` → `a`, `it's` */
export function labelsOf(declared: string): readonly string[] {
  const list = declared.slice(declared.indexOf('(') + 1, declared.lastIndexOf(')'));
  return [...list.matchAll(/'((?:[^'\\]|''|\\.)*)'/gs)].map(([, label]) =>
    label!.replace(/''|\\(.)/gs, (pair, escaped: string | undefined) =>
      escaped === undefined ? pair[0]! : (ESCAPES[escaped] ?? escaped),
    ),
  );
}

/** By its bits, for a server's text of it may hide a member that is empty. */
function set(declared: string): ShownWriter {
  const labels = labelsOf(declared).map((label) => JSON.stringify(label));
  return (out, shown) => {
    const bits = BigInt(shown.toString('latin1'));
    const members = labels.filter((_, bit) => ((bits >> BigInt(bit)) & 1n) === 1n);
    out.put(Buffer.from(`[${members.join(',')}]`));
  };
}

const WRITERS: Readonly<Record<string, ShownWriter>> = {
  tinyint: digits,
  smallint: digits,
  mediumint: digits,
  int: digits,
  bigint: digits,
  decimal: digits,
  year: digits,
  float: number((shown) => floatText(Math.fround(Number(shown)))),
  double: number((shown) => doubleText(Number(shown))),
  date: string,
  time: string,
  datetime: moment(''),
  timestamp: moment('Z'),
  char: string,
  varchar: string,
  tinytext: string,
  text: string,
  mediumtext: string,
  longtext: string,
  enum: string,
  uuid: string,
  inet4: string,
  inet6: string,
  // MySQL's own: what the server shows is JSON.
  json: (out, shown) => out.raw(shown, 0, shown.length),
};

/** @param kind what MariaDB has no type of its own for: JSON in a LONGTEXT. */
export function shownColumn({ name, type, declared }: SourceColumn, kind: ColumnKind | undefined): ShownColumn {
  const column = quoteIdent(name);
  if (kind === 'json') return { sql: column, write: (out, shown) => writeStoredJson(out, shown, 0, shown.length) };
  // As a double it comes with all its digits; as itself it is rounded to six. A zero that was added would take the sign of -0.
  if (type === 'float') return { sql: `${column} * 1e0`, write: WRITERS['float']! };
  if (type === 'set') return { sql: `CAST(${column} AS UNSIGNED)`, write: set(declared) };
  // Bytes: BIT, BINARY, BLOB, geometry, vectors.
  return { sql: column, write: WRITERS[type] ?? base64 };
}
