import type { JsonBuffer } from '@planasonix/json-buffer';
import { momentText } from '../decode/moments.js';
import { doubleText, floatText, plainNumber } from '../decode/numbers.js';
import { writeBase64, writeStoredJson, writeText } from '../decode/value-texts.js';
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
  else out.raw(shown, 0, shown.length);
};

/** Longer ones are looked at several bytes at a time. */
const SHORT = 40;

const string: ShownWriter = (out, shown) => {
  const { length } = shown;
  if (length > SHORT) return writeText(out, shown, 0, length);
  for (let i = 0; i < length; i++) {
    const code = shown[i]!;
    if (code < SPACE || code === QUOTE || code === BACKSLASH || code === 0xed) return writeText(out, shown, 0, length);
  }
  out.byte(QUOTE);
  out.raw(shown, 0, shown.length);
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
    const text = shown.toString();
    const colon = text.indexOf(':');
    const bits = BigInt(text.slice(0, colon));
    // The catalog has a question mark for a character of four bytes; no member has a comma, and one alone can be empty.
    const named = text
      .slice(colon + 1)
      .split(',')
      .filter((one) => one !== '');
    const members = labels
      .filter((_, bit) => ((bits >> BigInt(bit)) & 1n) === 1n)
      .map((label) => (label === '""' ? label : JSON.stringify(named.shift())));
    out.utf8(`[${members.join(',')}]`);
  };
}

/** Two digits of a year from 1970 to 2069. */
const shortYear: ShownWriter = (out, shown) => {
  const year = Number(shown.toString('latin1'));
  out.ascii(String(year + (year < 70 ? 2000 : 1900)));
};

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

/** The driver throws at a result's column of such a name. */
const BARRED = new Set(['__proto__', '__defineGetter__', '__defineSetter__', '__lookupGetter__', '__lookupSetter__']);

/** @param kind what MariaDB has no type of its own for: JSON in a LONGTEXT. */
export function shownColumn({ name, type, declared }: SourceColumn, kind: ColumnKind | undefined): ShownColumn {
  const column = BARRED.has(name) ? `${quoteIdent(name)} AS _` : quoteIdent(name);
  if (kind === 'json') return { sql: column, write: (out, shown) => writeStoredJson(out, shown, 0, shown.length) };
  // As a double it comes with all its digits; as itself it is rounded to six. A zero that was added would take the sign of -0.
  if (type === 'float' || (type === 'double' && declared.includes('(')))
    return { sql: `${column} * 1e0`, write: WRITERS[type]! };
  if (type === 'set') return { sql: `CONCAT(CAST(${column} AS UNSIGNED), ':', ${column})`, write: set(declared) };
  if (type === 'year' && declared.startsWith('year(2)')) return { sql: column, write: shortYear };
  // Bytes: BIT, BINARY, BLOB, geometry, vectors.
  return { sql: column, write: WRITERS[type] ?? base64 };
}
