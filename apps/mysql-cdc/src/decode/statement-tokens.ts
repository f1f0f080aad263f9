import type { Flavor } from '../server.js';

/** A word, a name in quotes, or a sign of a statement. */
export interface Token {
  /** In upper case where it was not quoted. */
  readonly text: string;
  /** As it was written, without its quotes: its bytes, one a character. */
  readonly name: string;
  readonly quoted: boolean;
}

/** What a statement's bytes mean to the server that took it apart. */
export interface Reading {
  readonly flavor: Flavor;
  /** The client's character set by the server's name. */
  readonly charset: string;
  /** A backslash takes what follows with it in strings; not under NO_BACKSLASH_ESCAPES. */
  readonly escapes: boolean;
  /** `"` is for names; under ANSI_QUOTES. */
  readonly ansiQuotes: boolean;
}

const SIGN = /[^\w$\x80-\xff]/;
const CODED: Readonly<Record<Flavor, RegExp>> = { mariadb: /\/\*M?!(\d*)/y, mysql: /\/\*!(\d*)/y };
/** Sets of one byte a character in which A0 is a space, and so between words. */
const HARD_SPACE = new Set([
  ...['latin1', 'latin2', 'latin5', 'latin7', 'greek', 'hebrew', 'cp1250', 'cp1251', 'cp1256', 'cp1257'],
]);
/** Characters whose second byte may be one of ASCII, a quote or a backslash among them; in other sets it never is. */
const PAIRS: Readonly<Record<string, RegExp>> = {
  big5: /[\xa1-\xf9][\x40-\x7e\xa1-\xfe]/y,
  sjis: /[\x81-\x9f\xe0-\xfc][\x40-\x7e\x80-\xfc]/y,
  cp932: /[\x81-\x9f\xe0-\xfc][\x40-\x7e\x80-\xfc]/y,
  gbk: /[\x81-\xfe][\x40-\x7e\x80-\xfe]/y,
  gb18030: /[\x81-\xfe](?:[\x40-\x7e\x80-\xfe]|[0-9][\x81-\xfe][0-9])/y,
};

/**
 * The words of a statement without its comments; what stands in a comment for one version on (`/*!40005 … * /`) is a part of
 * the statement. Strings and numbers are words that nobody looks for.
 * @param sql its bytes, one a character. @param most tokens after which nobody looks
 */
export function tokensOf(sql: string, reading: Reading, most = 100_000): readonly Token[] {
  const tokens: Token[] = [];
  const space = HARD_SPACE.has(reading.charset) ? /[\t-\r \xa0]/ : /[\t-\r ]/;
  const step = stepper(sql, PAIRS[reading.charset]);
  for (let at = 0; at < sql.length && tokens.length < most;) {
    const char = sql[at]!;
    if (space.test(char) || sql.startsWith('*/', at)) {
      at += char === '*' ? 2 : 1;
    } else if (char === '#' || isDashes(sql, at)) {
      const end = sql.indexOf('\n', at);
      at = end < 0 ? sql.length : end + 1;
    } else if (sql.startsWith('/*', at)) {
      const coded = CODED[reading.flavor];
      coded.lastIndex = at;
      if (coded.test(sql)) at = coded.lastIndex;
      else {
        const end = sql.indexOf('*/', at + 2);
        at = end < 0 ? sql.length : end + 2;
      }
    } else if (char === '`' || char === '"' || char === "'") {
      const escapes = reading.escapes && char !== '`' && !(char === '"' && reading.ansiQuotes);
      const { name, next } = quoted(sql, at, escapes, step);
      tokens.push({ text: name, name, quoted: true });
      at = next;
    } else if (SIGN.test(char)) {
      tokens.push({ text: char, name: char, quoted: false });
      at += 1;
    } else {
      let end = at + step(at);
      while (end < sql.length && !SIGN.test(sql[end]!) && !space.test(sql[end]!)) end += step(end);
      const name = sql.slice(at, end);
      tokens.push({ text: name.toUpperCase(), name, quoted: false });
      at = end;
    }
  }
  return tokens;
}

/** Bytes of the character at a place. */
const stepper =
  (sql: string, pairs: RegExp | undefined) =>
  (at: number): number => {
    if (pairs === undefined) return 1;
    pairs.lastIndex = at;
    return pairs.test(sql) ? pairs.lastIndex - at : 1;
  };

/** Two of them begin a comment where a space or a control follows. */
const isDashes = (sql: string, at: number): boolean =>
  sql.startsWith('--', at) && /^[\x00-\x20\x7f]?$/.test(sql.slice(at + 2, at + 3));

/** Doubled quotes are one. @param escapes a backslash takes the byte behind it with it */
function quoted(
  sql: string,
  from: number,
  escapes: boolean,
  step: (at: number) => number,
): { readonly name: string; readonly next: number } {
  const quote = sql[from]!;
  let name = '';
  for (let at = from + 1; at < sql.length;) {
    const bytes = step(at);
    const char = sql.slice(at, at + bytes);
    at += bytes;
    if (escapes && char === '\\') name += sql[at++] ?? '';
    else if (char !== quote) name += char;
    else if (sql[at] !== quote) return { name, next: at };
    else name += sql[at++]!;
  }
  return { name, next: sql.length };
}
