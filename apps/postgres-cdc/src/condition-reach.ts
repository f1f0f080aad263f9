import type { SourceTable } from './tables.js';
import { tokensOf, type Token } from './condition-tokens.js';
import { BEFORE_PARENTHESIS, FUNCTIONS, KEYWORDS, OPERATORS, TYPES } from './condition-words.js';

/** What a condition asks for and may not, as `has …`, and what it may. */
export interface Reach {
  readonly problem: string;
  readonly fix: string;
}

export type ReachTable = Pick<SourceTable, 'schema' | 'table' | 'excluded'> & {
  readonly columns: readonly { readonly name: string }[];
};

const COLUMNS = 'Name columns that the stream reads; write names with capitals or other than ASCII letters in "…".';
const list = (title: string, some: ReadonlySet<string>): string => `${title}: ${[...some].join(', ')}.`;
const ANY = { kind: 'other', text: '', prefix: '' } as const;

/**
 * Which rows come tells what the condition could see. So it may see the columns of the table that the stream reads, and
 * nothing else: every word of it has to be one that is known to be harmless, in the place where it stands.
 * @param text has passed `conditionProblem` @returns `null`: it stays within the table
 */
export function conditionReach(text: string, table: ReachTable): Reach | null {
  const tokens = tokensOf(text);
  for (let i = 0; i < tokens.length; i++) {
    const found = new Place(tokens, i, table).reach();
    if (found !== null) return found;
  }
  return null;
}

/** The same of a publication's table: what its list leaves out is hidden as what is excluded is. */
export const reachOf = (text: string, table: SourceTable): Reach | null =>
  conditionReach(text, { ...table, excluded: new Set([...table.excluded, ...table.unlisted]) });

/** Whether it was judged while the publication still listed what it speaks of. */
export const seesUnlisted = (text: string | null, table: SourceTable): boolean =>
  text !== null && table.unlisted.size > 0 && reachOf(text, table) !== null;

/** One word of a condition, and what stands around it. */
class Place {
  private readonly token: Token;
  private readonly next: Token;
  private readonly before: Token;

  constructor(
    private readonly tokens: readonly Token[],
    private readonly at: number,
    private readonly table: ReachTable,
  ) {
    this.token = tokens[at]!;
    this.next = this.near(1);
    this.before = this.near(-1);
  }

  reach(): Reach | null {
    const { token } = this;
    switch (token.kind) {
      case 'string':
        return token.prefix === 'u&'
          ? { problem: 'has a string that begins with U&', fix: "Write strings as '…' or E'…'." }
          : null;
      case 'number':
        return null;
      case 'operator':
        if (token.text === '*' && this.before.text === '.')
          return { problem: 'speaks of whole rows (.*)', fix: COLUMNS };
        return OPERATORS.has(token.text)
          ? null
          : { problem: `has the operator ${token.text}`, fix: list('Operators', OPERATORS) };
      case 'mark':
        return this.mark();
      case 'quoted':
      case 'word':
        return token.prefix === ''
          ? this.name()
          : { problem: 'has a name that begins with U&', fix: 'Write names as "…".' };
      case 'other':
        return { problem: `has a ${token.text}`, fix: 'Write one SQL expression.' };
    }
  }

  private mark(): Reach | null {
    const { text } = this.token;
    // Only of a table, a column or a value in parentheses or brackets; the rest is a number's.
    if (text === '.' && this.next.kind !== 'word' && this.next.kind !== 'quoted' && this.next.text !== '*')
      return { problem: 'has a . that no name follows', fix: COLUMNS };
    return null;
  }

  private name(): Reach | null {
    const { token, next, before } = this;
    const bare = token.kind === 'word';
    const called = this.is(next, '(');
    const qualifies = this.is(next, '.');
    if (this.is(before, '::') || (before.kind === 'word' && before.text === 'as')) return this.type();
    if (this.isTimeType()) return null;
    if (this.is(before, '.')) return this.member(called, qualifies);
    if (qualifies) return this.qualifier();
    if (called) return bare && BEFORE_PARENTHESIS.has(token.text) ? this.hidden() : this.call();
    // A name before a string is a type.
    if (next.kind === 'string' && !(bare && (KEYWORDS.has(token.text) || TYPES.has(token.text)))) return this.type();
    if (bare && TYPES.has(token.text) && (next.kind === 'string' || this.hasZone())) return null;
    if (this.isColumn()) return null;
    return bare && KEYWORDS.has(token.text) ? this.hidden() : this.unread();
  }

  /** Behind a dot. */
  private member(called: boolean, qualifies: boolean): Reach | null {
    const path = this.near(-2).text;
    if (called) return path === 'pg_catalog' && !this.is(this.near(-3), '.') ? this.call() : this.noFunction();
    if (qualifies) return path === this.table.schema && this.token.text === this.table.table ? null : this.unread();
    return this.isColumn() ? null : this.unread();
  }

  private qualifier(): Reach | null {
    const { text } = this.token;
    const { schema, table } = this.table;
    const known = text === table || text === schema || (text === 'pg_catalog' && this.is(this.near(3), '('));
    return known ? null : this.unread();
  }

  private call(): Reach | null {
    const { text } = this.token;
    return FUNCTIONS.has(text) || (this.token.kind === 'word' && TYPES.has(text)) ? null : this.noFunction();
  }

  private type(): Reach | null {
    const { token, next } = this;
    const known = token.kind === 'word' && (TYPES.has(token.text) || this.isTwoWords()) && !this.is(next, '.');
    return known
      ? null
      : { problem: `has the type ${token.text}, which it may not cast to`, fix: list('Types', TYPES) };
  }

  /** `double precision`, `character varying` and `timestamp with time zone` are types of several words. */
  private isTwoWords(): boolean {
    return this.token.text === 'double' && this.next.kind === 'word' && this.next.text === 'precision';
  }

  private hasZone(): boolean {
    return this.next.kind === 'word' && /^with(out)?$/.test(this.next.text) && this.near(2).text === 'time';
  }

  private isTimeType(): boolean {
    if (this.token.kind !== 'word') return false;
    const pair = (first: Token, second: Token): string =>
      first.kind === 'word' && second.kind === 'word' ? `${first.text} ${second.text}` : '';
    const [here, ahead] = [pair(this.before, this.token), pair(this.token, this.next)];
    if (here === 'double precision' || ahead === 'double precision') return this.hidden() === null;
    if (/^(character|char|bit) varying$/.test(here)) return this.hidden() === null;
    return /^(with|without) time$/.test(ahead) && this.near(2).text === 'zone' && this.hidden() === null;
  }

  private isColumn(): boolean {
    const { kind, text } = this.token;
    // How a server folds letters beyond ASCII depends on its encoding.
    if (kind === 'word' && /[^\u0000-\u007f]/.test(text)) return false;
    return this.table.columns.some(({ name }) => name === text);
  }

  /** A keyword may be the name of what is hidden as well. The table's own name stands for all of its columns. */
  private hidden(): Reach | null {
    const { text } = this.token;
    return this.table.excluded.has(text) || text === this.table.table ? this.unread() : null;
  }

  private unread(): Reach {
    const { schema, table } = this.table;
    const problem = `speaks of ${this.token.text}, which is no column of ${schema}.${table} that the stream reads`;
    return { problem, fix: COLUMNS };
  }

  private noFunction(): Reach {
    const problem = `calls ${this.token.text}, which is no function that a condition may call`;
    return { problem, fix: list('Functions', FUNCTIONS) };
  }

  private near(by: number): Token {
    return this.tokens[this.at + by] ?? ANY;
  }

  private is({ kind, text }: Token, mark: string): boolean {
    return kind === 'mark' && text === mark;
  }
}
