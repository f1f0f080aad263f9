import { afterName, afterString } from './condition.js';

export interface Token {
  /** `mark`: one of `( ) [ ] , . :` or `::`. */
  readonly kind: 'string' | 'quoted' | 'word' | 'number' | 'operator' | 'mark' | 'other';
  /** Words folded as the server folds ASCII; quoted names without their quotes. */
  readonly text: string;
  /** Of a string: something stands before its quote that changes what it says. */
  readonly prefix: string;
}

const SPACE = /^[ \t\n\r\f\v]+/;
const PREFIXED = /^(?:[uU]&|[bBeEnNxX])(?=['"])/;
const WORD = /^(?:[A-Za-z_]|[^\u0000-\u007f])(?:[A-Za-z0-9_$]|[^\u0000-\u007f])*/;
const NUMBER = /^(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?/;
const OPERATOR = /^[+\-*/<>=~!@#%^&|`?]+/;
const MARK = /^(?:::|[()[\],.:])/;

/** The server ends an operator before a trailing sign, unless the operator has one of some other characters. */
function operatorIn(run: string): string {
  let text = run;
  while (text.length > 1 && /[+-]$/.test(text) && !/[~!@#%^&|`?]/.test(text)) text = text.slice(0, -1);
  return text;
}

const folded = (text: string): string => text.replace(/[A-Z]+/g, (some) => some.toLowerCase());

/** The words of a condition that `conditionProblem` has nothing against, as the server reads them. */
export function tokensOf(text: string): readonly Token[] {
  const tokens: Token[] = [];
  for (let at = 0; at < text.length;) {
    const rest = text.slice(at);
    const space = SPACE.exec(rest);
    if (space) {
      at += space[0].length;
      continue;
    }
    const prefix = PREFIXED.exec(rest)?.[0] ?? '';
    const quote = text[at + prefix.length];
    if (quote === "'" || (quote === '"' && (prefix === '' || prefix.length === 2))) {
      const from = at + prefix.length;
      const end = quote === "'" ? afterString(text, from) : quotedEnd(text, from);
      if (typeof end === 'string') return [...tokens, { kind: 'other', text: rest.slice(0, 1), prefix: '' }];
      const inner = text.slice(from + 1, end - 1);
      tokens.push({
        kind: quote === "'" ? 'string' : 'quoted',
        text: quote === "'" ? inner : inner.replaceAll('""', '"'),
        prefix: folded(prefix),
      });
      at = end;
      continue;
    }
    const token = plain(rest);
    tokens.push(token);
    at += token.text.length;
  }
  return tokens;
}

/** Behind a quoted name, with the doubled quotes in it. */
function quotedEnd(text: string, from: number): number | string {
  let end = afterName(text, from);
  while (typeof end === 'number' && text[end] === '"') end = afterName(text, end);
  return end;
}

function plain(rest: string): Token {
  const is = (kind: Token['kind'], text: string): Token => ({ kind, text, prefix: '' });
  const word = WORD.exec(rest)?.[0];
  if (word !== undefined) return is('word', folded(word));
  const number = NUMBER.exec(rest)?.[0];
  if (number !== undefined) return is('number', number);
  const run = OPERATOR.exec(rest)?.[0];
  if (run !== undefined) return is('operator', operatorIn(run));
  const mark = MARK.exec(rest)?.[0];
  return mark === undefined ? is('other', rest.slice(0, 1)) : is('mark', mark);
}
