/** A word, a name in quotes, or a sign of a statement. */
export interface Token {
  /** In upper case where it was not quoted. */
  readonly text: string;
  /** As it was written, without its quotes. */
  readonly name: string;
  readonly quoted: boolean;
}

const SIGN = /[.,();=@]/;
const SPACE = /\s/;

/**
 * The words of a statement without its comments; what stands in a comment for one version on (`/*!40005 … * /`) is a part of
 * the statement. Strings and numbers are words that nobody looks for. @param most tokens after which nobody looks
 */
export function tokensOf(sql: string, most = 100_000): readonly Token[] {
  const tokens: Token[] = [];
  for (let at = 0; at < sql.length && tokens.length < most;) {
    const char = sql[at]!;
    if (SPACE.test(char) || sql.startsWith('*/', at)) {
      at += char === '*' ? 2 : 1;
    } else if (char === '#' || /^--(?:\s|$)/.test(sql.slice(at, at + 3))) {
      const end = sql.indexOf('\n', at);
      at = end < 0 ? sql.length : end + 1;
    } else if (sql.startsWith('/*', at)) {
      const [, version] = /^\/\*M?!(\d*)/.exec(sql.slice(at, at + 12)) ?? [];
      if (version !== undefined) at += 3 + (sql[at + 2] === 'M' ? 1 : 0) + version.length;
      else {
        const end = sql.indexOf('*/', at + 2);
        at = end < 0 ? sql.length : end + 2;
      }
    } else if (char === '`' || char === '"' || char === "'") {
      const { name, next } = quoted(sql, at, char);
      tokens.push({ text: name, name, quoted: true });
      at = next;
    } else if (SIGN.test(char)) {
      tokens.push({ text: char, name: char, quoted: false });
      at += 1;
    } else {
      let end = at + 1;
      while (end < sql.length && !endsWord(sql, end)) end += 1;
      const name = sql.slice(at, end);
      tokens.push({ text: name.toUpperCase(), name, quoted: false });
      at = end;
    }
  }
  return tokens;
}

const endsWord = (sql: string, at: number): boolean =>
  /[\s.,();=@`"'#]/.test(sql[at]!) || sql.startsWith('/*', at) || sql.startsWith('*/', at);

/** Doubled quotes are one; a backslash takes what follows with it in strings alone. */
function quoted(sql: string, from: number, quote: string): { readonly name: string; readonly next: number } {
  let name = '';
  for (let at = from + 1; at < sql.length; at++) {
    const char = sql[at]!;
    if (char === '\\' && quote !== '`') name += sql[++at] ?? '';
    else if (char !== quote) name += char;
    else if (sql[at + 1] === quote) name += sql[at++]!;
    else return { name, next: at + 1 };
  }
  return { name, next: sql.length };
}
