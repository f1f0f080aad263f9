import { StreamError } from '@planasonix/core';
import type { RowEncoder } from './decode/row-encoder.js';
import type { TableName } from './decode/statement-reader.js';
import type { Verdict } from './decode/statement.js';
import type { ToldKinds } from './decode/told-kinds.js';
import type { TableBook } from './table-book.js';
import type { Asks } from './tables.js';

export interface EffectsDeps {
  readonly asks: Asks;
  readonly book: TableBook;
  readonly encoder: RowEncoder;
  /** Names of tables do not tell upper from lower case. */
  readonly foldsCase: boolean;
}

export const statementFormat = (what: string): StreamError =>
  new StreamError('binlog_format_unsupported', `The log holds ${what} in place of the rows that it changed.`);

const all = (waits: readonly Promise<void>[]): Promise<void> | null =>
  waits.length === 0 ? null : Promise.all(waits).then(() => undefined);

/** Tables that it speaks of; a schema alone is none. */
const tablesOf = (verdict: Verdict): readonly TableName[] => {
  if (verdict.kind === 'replaced') return [...verdict.tables, ...verdict.left];
  if (verdict.kind === 'rows' || verdict.kind === 'changed') return verdict.tables ?? [];
  if (verdict.kind !== 'emptied') return [];
  return verdict.tables.flatMap(({ schema, table }) => (table === null ? [] : [{ schema, table }]));
};

/**
 * Like `effectsOf`, of a statement that can be read in several ways: it is about tables that are known, where there are such
 * among them. Else all count, for one of them happened.
 */
export function effectsOfAny(verdicts: readonly Verdict[], deps: EffectsDeps, pos: number): Promise<void> | null {
  const [only] = verdicts;
  if (only !== undefined && verdicts.length === 1) return effectsOf(only, deps, pos);
  const fold = (name: string): string => (deps.foldsCase ? name.toLowerCase() : name);
  const known = verdicts.filter(
    (one) =>
      (one.kind === 'rows' && one.tables === null) ||
      tablesOf(one).some(({ schema, table }) => deps.book.knows(fold(schema), fold(table))),
  );
  const those = known.length > 0 ? known : verdicts;
  return all(those.flatMap((one) => effectsOf(one, deps, pos) ?? []));
}

/**
 * What a statement does to the tables that are read.
 * @param pos where it stands in its file
 * @returns what is to be waited for, or `null`
 * @throws StreamError where rows that are asked for changed without a word about which
 */
export function effectsOf(
  verdict: Verdict,
  { asks, book, encoder, foldsCase }: EffectsDeps,
  pos: number,
): Promise<void> | null {
  const fold = (name: string): string => (foldsCase ? name.toLowerCase() : name);
  const asked = (tables: readonly TableName[]): TableName[] =>
    tables
      .filter(({ schema, table }) => asks(schema, table))
      .map(({ schema, table }) => ({ schema: fold(schema), table: fold(table) }));
  const changed = (tables: readonly TableName[], told: ToldKinds) =>
    all(tables.map(({ schema, table }) => book.changed(schema, table, told)));
  const emptied = (tables: readonly TableName[], told: ToldKinds) => {
    for (const { schema, table } of tables) encoder.emptied(book.frame(schema, table), pos);
    return changed(tables, told);
  };
  switch (verdict.kind) {
    case 'rows':
      if (verdict.tables !== null && asked(verdict.tables).length === 0) return null;
      throw statementFormat(verdict.tables === null ? 'a statement' : 'a DELETE');
    case 'replaced': {
      const [table] = asked(verdict.tables);
      if (table === undefined) return emptied(asked(verdict.left), { kind: 'gone' });
      throw new StreamError(
        'offset_gap',
        `${verdict.what} changed rows of ${table.schema}.${table.table}, and the log does not say which.`,
        { hint: 'Start with {"onLostPosition":"resnapshot"}, which reads all rows again, or "skip".' },
      );
    }
    case 'emptied':
      return emptied(
        asked(
          verdict.tables.flatMap(({ schema, table }) =>
            table === null ? book.ofSchema(fold(schema)).map((name) => ({ schema, table: name })) : [{ schema, table }],
          ),
        ),
        verdict.told,
      );
    case 'changed':
      return changed(asked(verdict.tables), verdict.told);
    default:
      return null;
  }
}
