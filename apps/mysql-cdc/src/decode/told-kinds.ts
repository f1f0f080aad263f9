import type { ColumnKind } from '../position.js';
import type { StatementReader, TableName } from './statement-reader.js';
import type { Token } from './statement-tokens.js';

/** What a statement says of types that MariaDB's log has no word for in tables: UUID, INET6, INET4 and JSON. */
export type ToldKinds = Told & {
  /** Columns that have another name, from and to; absent: none has. */
  readonly renames?: readonly (readonly [string, string])[];
};

type Told =
  /** `unsaid`: they may be others, and which is not said. */
  | { readonly kind: 'same' | 'gone' | 'unsaid' }
  | { readonly kind: 'like'; readonly of: TableName; readonly onlyNew: boolean }
  /** All columns that have one. `onlyNew`: unless the table is there already. */
  | { readonly kind: 'made'; readonly columns: Kinds; readonly onlyNew: boolean }
  | ({ readonly kind: 'altered' } & Altered);

type Kinds = Readonly<Record<string, ColumnKind>>;
interface Altered {
  /** Columns that are no more what they were. */
  readonly left: readonly string[];
  /** From one name to another, as they are. */
  readonly moved: readonly (readonly [string, string])[];
  readonly columns: Kinds;
}

const KINDS: Readonly<Record<string, ColumnKind>> = { UUID: 'uuid', INET6: 'inet6', INET4: 'inet4', JSON: 'json' };
/** No column begins with them unquoted. */
const NO_COLUMN = new Set([
  ...[
    'PRIMARY',
    'KEY',
    'INDEX',
    'UNIQUE',
    'FULLTEXT',
    'SPATIAL',
    'CONSTRAINT',
    'FOREIGN',
    'CHECK',
    'LIKE',
    'PARTITION',
  ],
]);
const LONG_TEXT = /TEXT|CLOB|LONG/;
const UNSAID = 'unsaid';

const is = (token: Token | undefined, ...words: readonly string[]): boolean =>
  token !== undefined && !token.quoted && words.includes(token.text);

/** What stands between commas, up to the parenthesis that closes what `tokens` stands in. @returns with what stands behind */
function items(tokens: readonly Token[]): { readonly items: readonly (readonly Token[])[]; readonly rest: number } {
  const found: Token[][] = [[]];
  let depth = 0;
  for (const [at, token] of tokens.entries()) {
    if (is(token, ')') && depth-- === 0) return { items: found, rest: at + 1 };
    if (is(token, '(')) depth += 1;
    if (is(token, ',') && depth === 0) found.push([]);
    else found.at(-1)!.push(token);
  }
  return { items: found, rest: tokens.length };
}

/** The column of a `CHECK (json_valid(…))`, by which a LONGTEXT is JSON; `null`: another check. Absent: there is none. */
function checked(item: readonly Token[], named: (bytes: string) => string): string | null | undefined {
  const at = item.findIndex((token) => is(token, 'CHECK'));
  if (at < 0) return undefined;
  const inner = items(item.slice(at + 2)).items[0]!.filter((token) => !is(token, '(', ')'));
  return inner.length === 2 && is(inner[0], 'JSON_VALID') ? named(inner[1]!.name) : null;
}

/** @param item a column from its name on */
function kindOf(item: readonly Token[], named: (bytes: string) => string): ColumnKind | typeof UNSAID | null {
  const type = item[1]?.name.toUpperCase() ?? '';
  const check = checked(item, named);
  if (typeof check === 'string') return check.toLowerCase() === named(item[0]!.name).toLowerCase() ? 'json' : UNSAID;
  if (type === 'JSON' && item.some((token) => is(token, 'AS', 'GENERATED'))) return UNSAID;
  // JSON brings a check of its own where the column has no other.
  return type === 'JSON' && check === null ? null : (KINDS[type] ?? null);
}

/** @param reader behind the table's name */
export function toldByCreate(reader: StatementReader, onlyNew: boolean): ToldKinds {
  const { at } = reader;
  if (reader.take('LIKE') || reader.take('(', 'LIKE')) return { kind: 'like', of: reader.name(), onlyNew };
  if (!reader.take('(')) return { kind: UNSAID };
  const { rest: tokens, named } = reader;
  reader.at = at;
  const { items: columns, rest } = items(tokens);
  if (is(columns[0]?.[0], 'SELECT') || tokens.slice(rest).some((token) => is(token, 'SELECT'))) return { kind: UNSAID };
  const found = new Map<string, ColumnKind>();
  for (const item of columns) {
    const isColumn = !is(item[0], ...NO_COLUMN);
    const kind = isColumn ? kindOf(item, named) : null;
    if (kind === UNSAID) return { kind };
    const name = isColumn ? named(item[0]?.name ?? '') : checked(item, named);
    if (typeof name === 'string' && (kind !== null || !isColumn)) found.set(name, kind ?? 'json');
  }
  return { kind: 'made', columns: Object.fromEntries(found), onlyNew };
}

/** `PERIOD` and `SYSTEM` alone may be names of columns. */
const isNoColumn = ([first, second]: readonly Token[]): boolean =>
  is(first, 'PARTITION') ||
  (is(first, 'PERIOD') && is(second, 'FOR')) ||
  (is(first, 'SYSTEM') && is(second, 'VERSIONING'));

/** @param reader behind the table's name, where it stays */
export function toldByAlter(reader: StatementReader): ToldKinds {
  const renames = renamesOf(reader);
  return { ...kindsByAlter(reader), ...(renames.length > 0 ? { renames } : {}) };
}

/** Columns under another name, whatever becomes of them besides. */
function renamesOf({ rest, named }: StatementReader): (readonly [string, string])[] {
  const name = (token: Token | undefined): string => named(token?.name ?? '');
  return items(rest).items.flatMap((item) => {
    const [verb, ...behind] = item;
    const changes = is(verb, 'CHANGE');
    if (!changes && !(is(verb, 'RENAME') && is(behind[0], 'COLUMN'))) return [];
    const column = is(behind[0], 'COLUMN') ? behind.slice(1) : behind;
    const [from, ...to] = is(column[0], 'IF') && is(column[1], 'EXISTS') ? column.slice(2) : column;
    return [[name(from), name(to[changes ? 0 : 1])] as const];
  });
}

function kindsByAlter({ rest, named }: StatementReader): Told {
  const [left, moved]: [string[], [string, string][]] = [[], []];
  const columns = new Map<string, ColumnKind>();
  const name = (token: Token | undefined): string => named(token?.name ?? '');
  for (const item of items(rest).items) {
    const [verb] = item;
    const spec = item.slice(is(item[1], 'COLUMN') ? 2 : 1);
    if (is(verb, 'DROP')) {
      // It may be the check by which a column is JSON.
      if (is(spec[0], 'CONSTRAINT', 'CHECK')) return { kind: UNSAID };
      if (!is(spec[0], ...NO_COLUMN)) left.push(name(spec[is(spec[0], 'IF') ? 2 : 0]));
    } else if (is(verb, 'CONVERT')) {
      // A text may become a LONGTEXT, and by its check JSON.
      return { kind: UNSAID };
    } else if (is(verb, 'RENAME') && is(item[1], 'COLUMN')) {
      if (!is(spec[1], 'TO')) return { kind: UNSAID };
      moved.push([name(spec[0]), name(spec[2])]);
    } else if (is(verb, 'ADD', 'MODIFY', 'CHANGE')) {
      if (is(spec[0], 'IF')) return { kind: UNSAID };
      if (isNoColumn(spec)) continue;
      const isNew = is(verb, 'ADD');
      if (is(spec[0], ...NO_COLUMN)) {
        const column = checked(spec, named);
        if (typeof column === 'string') columns.set(column, 'json');
        continue;
      }
      const made = isNew && is(spec[0], '(') ? items(spec.slice(1)).items : [is(verb, 'CHANGE') ? spec.slice(1) : spec];
      if (!isNew) left.push(name(spec[0]));
      for (const column of made) {
        const kind = kindOf(column, named);
        // A check of the table's may be there already that makes it JSON.
        if (kind === UNSAID || (kind === null && !isNew && LONG_TEXT.test(column[1]?.name.toUpperCase() ?? '')))
          return { kind: UNSAID };
        if (kind !== null) columns.set(name(column[0]), kind);
      }
    }
  }
  return { kind: 'altered', left, moved, columns: Object.fromEntries(columns) };
}

/** What a table has after a statement. @param before it; names of columns do not tell upper from lower case */
export function kindsAfter(before: Kinds, { left, moved, columns }: Altered): Kinds {
  const fold = (name: string): string => name.toLowerCase();
  const gone = new Set([...left, ...moved.map(([from]) => from), ...Object.keys(columns)].map(fold));
  const was = (name: string): ColumnKind | undefined =>
    Object.entries(before).find(([one]) => fold(one) === fold(name))?.[1];
  return {
    ...Object.fromEntries(Object.entries(before).filter(([name]) => !gone.has(fold(name)))),
    ...Object.fromEntries(moved.flatMap(([from, to]) => (was(from) === undefined ? [] : [[to, was(from)!]]))),
    ...columns,
  };
}
