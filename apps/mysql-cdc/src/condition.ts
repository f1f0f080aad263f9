import { BEFORE_PARENTHESIS, FUNCTIONS, KEYWORDS, OF_QUERIES, OPERATORS, TYPES } from './condition-words.js';
import type { SourceTable } from './tables.js';

/** What a condition has and may not, as `has …`, and what it may. */
export interface Problem {
  readonly problem: string;
  readonly fix: string;
}

interface Token {
  readonly kind: 'string' | 'quoted' | 'word' | 'number' | 'operator' | 'mark';
  /** Words in lower case; quoted names without their quotes. */
  readonly text: string;
  /** A parenthesis follows, with nothing in between. */
  readonly called: boolean;
}

const SPACE = /^[ \t\n\r]+/;
const STRING = /^'(?:[^'\\\0]|'')*'/;
const QUOTED = /^`((?:[^`\0]|``)+)`/;
const WORD = /^[A-Za-z_][A-Za-z0-9_$]*/;
/** A letter behind it would make it a name. */
const NUMBER = /^(?:0x[0-9A-Fa-f]+|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(?![A-Za-z0-9_$.]|[^\u0000-\u007f])/;
const ANY: Token = { kind: 'mark', text: '', called: false };

const SAID: Readonly<Record<string, string>> = {
  ';': 'has a semicolon',
  '#': 'has a comment',
  '"': "has a double quote; write strings in '…' and names in `…`",
  '@': 'has a variable',
  '.': 'has a . that belongs to no number; write the names of columns alone',
};

/** The words of a condition as the server reads them with `sql_mode = ''`, or what can't be one. */
function tokensOf(text: string): readonly Token[] | string {
  const tokens: Token[] = [];
  for (let at = 0; at < text.length;) {
    const rest = text.slice(at);
    const space = SPACE.exec(rest)?.[0];
    if (space !== undefined) {
      at += space.length;
      continue;
    }
    // What hides the rest of the line, or of the query.
    if (/^(?:--|\/\*|\*\/)/.test(rest)) return 'has a comment';
    const found = token(rest);
    if (typeof found === 'string') return found;
    const [kind, raw, value] = found;
    tokens.push({ kind, text: value, called: rest[raw.length] === '(' });
    at += raw.length;
  }
  return tokens;
}

function token(rest: string): readonly [kind: Token['kind'], raw: string, text: string] | string {
  if (rest.startsWith("'")) {
    const raw = STRING.exec(rest)?.[0];
    return raw === undefined ? 'has a string that does not end, or holds a backslash' : ['string', raw, raw];
  }
  if (rest.startsWith('`')) {
    const [raw, name] = QUOTED.exec(rest) ?? [];
    return raw === undefined
      ? 'has a name in backticks that does not end'
      : ['quoted', raw, name!.replaceAll('``', '`')];
  }
  const word = WORD.exec(rest)?.[0];
  if (word !== undefined) return ['word', word, word.toLowerCase()];
  const number = NUMBER.exec(rest)?.[0];
  if (number !== undefined) return ['number', number, number];
  if (/^[0-9]/.test(rest)) return 'has a name that begins with a digit; write it in `…`';
  const operator = OPERATORS.find((one) => rest.startsWith(one));
  if (operator !== undefined) return ['operator', operator, operator];
  if (/^[(),]/.test(rest)) return ['mark', rest[0]!, rest[0]!];
  return SAID[rest[0]!] ?? 'has a character that is no part of a condition; write names in `…`';
}

const COLUMNS = 'Name columns that the stream reads; write names that are words of SQL, or other than plain, in `…`.';
const list = (title: string, some: ReadonlySet<string>): string => `${title}: ${[...some].join(', ')}.`;

/**
 * Looks at a condition that a user wrote before it is put into a query, in parentheses of ours: it has to stay inside
 * them. Which rows come tells what it could see: so it may see the columns of the table that the stream reads, and nothing
 * else; every word of it has to be one that is known to be harmless. What it means, the server judges.
 * @param excluded columns that never leave the worker, in lower case @returns `null`: it stays within the table
 */
export function conditionProblem(
  text: string,
  { schema, table, columns }: Pick<SourceTable, 'schema' | 'table' | 'columns'>,
  excluded: ReadonlySet<string>,
): Problem | null {
  const tokens = tokensOf(text);
  if (typeof tokens === 'string') return { problem: tokens, fix: 'Write one SQL expression.' };
  let open = 0;
  for (const { kind, text: mark } of tokens) {
    if (kind !== 'mark') continue;
    if (mark === '(') open++;
    else if (mark === ')' && --open < 0) return { problem: 'has a ) that closes nothing', fix: 'Take it out.' };
  }
  if (open > 0 || tokens.length === 0) return { problem: 'does not end', fix: 'Write one SQL expression.' };
  const names = new Set(columns.map(({ name }) => name.toLowerCase()));
  const isColumn = (name: string): boolean => names.has(name.toLowerCase()) && !excluded.has(name.toLowerCase());
  const unread = (name: string): Problem => ({
    problem: `speaks of ${name}, which is no column of ${schema}.${table} that the stream reads`,
    fix: COLUMNS,
  });
  for (let i = 0; i < tokens.length; i++) {
    const one = tokens[i]!;
    const [before, next] = [tokens[i - 1] ?? ANY, tokens[i + 1] ?? ANY];
    const parenthesis = next.kind === 'mark' && next.text === '(';
    if (one.kind === 'quoted' && (parenthesis || !isColumn(one.text))) return unread(one.text);
    if (one.kind !== 'word') continue;
    if (OF_QUERIES.has(one.text)) return unread(one.text);
    if (before.kind === 'word' && before.text === 'as') {
      if (!TYPES.has(one.text)) return { problem: `has the type ${one.text}`, fix: list('Types', TYPES) };
    } else if (parenthesis) {
      // With a space before the parenthesis some names are those of functions that users have made.
      const known = BEFORE_PARENTHESIS.has(one.text) || (one.called && FUNCTIONS.has(one.text));
      if (!known) return { problem: `calls ${one.text}`, fix: list('Functions, right before their (', FUNCTIONS) };
    } else if (excluded.has(one.text) || (!isColumn(one.text) && !KEYWORDS.has(one.text))) return unread(one.text);
  }
  return null;
}
