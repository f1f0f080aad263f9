import { StreamError } from '@planasonix/core';
import type { Session } from '../session.js';
import { gb18030 } from './gb18030.js';
import { unsupported } from './unsupported.js';
import { put, putCode, room } from './utf16-text.js';

/** Text of a column to text of JavaScript; `null`: it is UTF-8 already, and is copied as it is. */
export type Decode = ((source: Buffer, start: number, end: number) => string) | null;

/** Collation of what is no text. */
export const BINARY = 63;

/** Those whose text is UTF-8 as it stands; names of tables that a client sends as `binary` are too. */
export const UTF8: ReadonlySet<string> = new Set(['utf8', 'utf8mb3', 'utf8mb4', 'binary']);
const TWO_BYTES = new Set(['big5', 'gb2312', 'gbk', 'sjis', 'cp932', 'euckr', 'ujis', 'eucjpms']);
/** After 8F two more bytes follow. */
const THREE_BYTES = new Set(['ujis', 'eucjpms']);

const utf16 = (source: Buffer, start: number, end: number): string => {
  const swapped = Buffer.from(source.subarray(start, end));
  return swapped.swap16().toString('utf16le');
};
const utf16le = (source: Buffer, start: number, end: number): string => source.toString('utf16le', start, end);
const utf32 = (source: Buffer, start: number, end: number): string => {
  const text = room(end - start);
  let to = 0;
  for (let at = start; at < end; at += 4) to = putCode(text, to, source.readUInt32BE(at));
  return text.toString('utf16le', 0, to);
};
export const ucs2: NonNullable<Decode> = (source, start, end) => utf16(source, start, end);
const WIDE: Readonly<Record<string, NonNullable<Decode>>> = { ucs2, utf16, utf16le, utf32 };

const hex = (code: number, digits: number): string => code.toString(16).padStart(digits, '0');
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** What the server makes of each code, as it would in a SELECT: it is the oracle. `null`: it is no single character. */
async function ask(session: Session, charset: string, codes: readonly string[]): Promise<readonly (string | null)[]> {
  const list = codes.map((code, i) => {
    const text = `CONVERT(X'${code}' USING ${charset})`;
    const whole = `CHAR_LENGTH(${text}) = 1 AND LENGTH(${text}) = ${code.length / 2}`;
    return `IF(${whole}, CONVERT(${text} USING utf8mb4), NULL) AS c${i}`;
  });
  const [row] = await session.query(`SELECT ${list.join(', ')}`);
  return codes.map((_, i) => row?.[`c${i}`] ?? null);
}

async function singleBytes(session: Session, charset: string): Promise<readonly string[]> {
  const texts = await ask(
    session,
    charset,
    range(0, 255).map((code) => hex(code, 2)),
  );
  return texts.map((text) => text ?? '?');
}

/** One unit of UTF-16 for each byte. */
function single(table: readonly string[]): NonNullable<Decode> {
  const units = Uint16Array.from(table, (text) => text.charCodeAt(0));
  return (source, start, end) => {
    const text = room((end - start) * 2);
    let to = 0;
    for (let at = start; at < end; at++) to = put(text, to, units[source[at]!]!);
    return text.toString('utf16le', 0, to);
  };
}

/** Code of two or three bytes → its text. */
async function multiBytes(session: Session, charset: string): Promise<ReadonlyMap<number, string>> {
  const codes = new Map<number, string>();
  const prefixes = [
    ...range(0x81, 0xfe).map((lead) => ({ text: hex(lead, 2), code: lead })),
    ...(THREE_BYTES.has(charset)
      ? range(0xa1, 0xfe).map((one) => ({ text: hex(0x8f00 | one, 4), code: 0x8f00 | one }))
      : []),
  ];
  for (const { text, code } of prefixes) {
    const trails = range(code > 0xff ? 0xa1 : 0x40, 0xfe);
    const found = await ask(
      session,
      charset,
      trails.map((trail) => text + hex(trail, 2)),
    );
    for (const [i, one] of found.entries()) if (one !== null) codes.set(code * 256 + trails[i]!, one);
  }
  return codes;
}

/** No code has more units of UTF-16 than bytes. */
const multi =
  (bytes: readonly string[], codes: ReadonlyMap<number, string>): NonNullable<Decode> =>
  (source, start, end) => {
    const text = room((end - start) * 2);
    let to = 0;
    for (let at = start; at < end;) {
      const one = source[at]!;
      const two = one < 0x80 || at + 1 >= end ? undefined : codes.get(one * 256 + source[at + 1]!);
      const three =
        one !== 0x8f || at + 2 >= end ? undefined : codes.get((one * 256 + source[at + 1]!) * 256 + source[at + 2]!);
      const found = three ?? two ?? bytes[one]!;
      for (let i = 0; i < found.length; i++) to = put(text, to, found.charCodeAt(i));
      at += three !== undefined ? 3 : two !== undefined ? 2 : 1;
    }
    return text.toString('utf16le', 0, to);
  };

/** Character sets by collation, learnt from the server when they are first met; the log names collations by number. */
export class Charsets {
  readonly #names = new Map<number, string>();
  readonly #decoders = new Map<string, Decode>();

  /** Names of all collations. */
  async learn(session: Session): Promise<void> {
    if (this.#names.size > 0) return;
    const sql = (table: string): string =>
      `SELECT ID AS id, CHARACTER_SET_NAME AS name FROM information_schema.${table}`;
    const newer = await session.query(sql('COLLATION_CHARACTER_SET_APPLICABILITY')).catch(() => []);
    for (const { id, name } of [...(await session.query(sql('COLLATIONS'))), ...newer])
      if (id && name) this.#names.set(Number(id), name);
  }

  /** Name of a collation's character set. */
  nameOf(collation: number): string | undefined {
    return this.#names.get(collation);
  }

  has(collation: number): boolean {
    const name = this.#names.get(collation);
    return name !== undefined && this.#decoders.has(name);
  }

  /** @throws StreamError `event_unsupported` for one that is not known. */
  async prepare(session: Session, collation: number): Promise<void> {
    const name = this.#names.get(collation);
    if (name === undefined)
      throw new StreamError('event_unsupported', `Text of collation ${collation} is not supported.`, {
        hint: 'Leave the table out with exclude_tables.',
      });
    if (this.#decoders.has(name)) return;
    this.#decoders.set(name, await decoderOf(session, name));
  }

  /** After `prepare`. */
  of(collation: number): Decode {
    return this.#decoders.get(this.#names.get(collation) ?? '') ?? null;
  }
}

/**
 * Texts of what clients wrote in a character set, as the server takes them. @param texts their bytes, one a character
 * @throws StreamError `event_unsupported` where they are none
 */
export async function textsIn(session: Session, charset: string, texts: readonly string[]): Promise<readonly string[]> {
  const list = texts.map((text, i) => {
    const code = Buffer.from(text, 'latin1').toString('hex');
    return `CONVERT(CONVERT(X'${code}' USING ${charset}) USING utf8mb4) AS t${i}`;
  });
  const [row] = await session.query(`SELECT ${list.join(', ')}`);
  return texts.map((_, i) => {
    const text = row?.[`t${i}`] ?? null;
    if (text === null) throw unsupported(`a name that is no text in ${charset}`);
    return text;
  });
}

async function decoderOf(session: Session, name: string): Promise<Decode> {
  if (UTF8.has(name)) return null;
  const wide = WIDE[name];
  if (wide !== undefined) return wide;
  if (name === 'gb18030') return gb18030(session, await multiBytes(session, name));
  const bytes = await singleBytes(session, name);
  return TWO_BYTES.has(name) ? multi(bytes, await multiBytes(session, name)) : single(bytes);
}
