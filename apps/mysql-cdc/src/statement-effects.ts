import { StreamError } from '@planasonix/core';
import type { RowEncoder } from './decode/row-encoder.js';
import type { TableName } from './decode/statement-reader.js';
import type { Move, Verdict } from './decode/statement.js';
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
  if (verdict.kind === 'renamed') return verdict.moves.flatMap(({ from, to }) => [from, to]);
  if (verdict.kind === 'shifted')
    return [...verdict.moves.flatMap(({ from, to }) => [from, to]), ...verdict.left, ...verdict.gone];
  if (
    verdict.kind === 'rows' ||
    verdict.kind === 'changed' ||
    verdict.kind === 'replaced' ||
    verdict.kind === 'versioned'
  )
    return verdict.tables ?? [];
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

const keyOf = ({ schema, table }: TableName): string => JSON.stringify([schema, table]);

const distinct = (names: readonly TableName[]): readonly TableName[] => [
  ...new Map(names.map((name) => [keyOf(name), name])).values(),
];

/** Renames as if all were done at once: from the name that a table had before to the one that it has behind them all. */
function settled(moves: readonly Move[]): readonly Move[] {
  const now = new Map<string, Move>();
  for (const { from, to } of moves) {
    const origin = now.get(keyOf(from))?.from ?? from;
    now.delete(keyOf(from));
    now.set(keyOf(to), { from: origin, to });
  }
  return [...now.values()].filter(({ from, to }) => keyOf(from) !== keyOf(to));
}

/**
 * What a statement does to the tables that are read.
 * @param pos where it stands in its file
 * @returns what is to be waited for, or `null`
 * @throws StreamError where rows that are asked for changed without a word about which
 */
export function effectsOf(verdict: Verdict, deps: EffectsDeps, pos: number): Promise<void> | null {
  const { asks, book, encoder, foldsCase } = deps;
  const fold = (name: string): string => (foldsCase ? name.toLowerCase() : name);
  const folded = ({ schema, table }: TableName): TableName => ({ schema: fold(schema), table: fold(table) });
  const both = ({ from, to }: Move): Move => ({ from: folded(from), to: folded(to) });
  const asked = (tables: readonly TableName[]): TableName[] =>
    tables.filter(({ schema, table }) => asks(schema, table)).map(folded);
  const changed = (tables: readonly TableName[], told: ToldKinds) =>
    all(tables.map(({ schema, table }) => book.changed(schema, table, told)));
  const forgotten = (tables: readonly TableName[]) => {
    for (const { schema, table } of distinct(tables)) {
      encoder.emptied(book.frame(schema, table), pos);
      book.leftovers.forgotten(`${schema}.${table}`);
    }
  };
  const emptied = (tables: readonly TableName[], told: ToldKinds) => {
    forgotten(tables);
    return changed(tables, told);
  };
  switch (verdict.kind) {
    case 'rows':
      if (verdict.tables !== null && asked(verdict.tables).length === 0) return null;
      throw statementFormat(verdict.tables === null ? 'a statement' : 'a DELETE');
    case 'replaced': {
      const [table] = asked(verdict.tables);
      if (table === undefined) return null;
      throw new StreamError(
        'offset_gap',
        `${verdict.what} changed rows of ${table.schema}.${table.table}, and the log does not say which.`,
        { hint: 'Start with {"onLostPosition":"resnapshot"}, which reads all rows again, or "skip".' },
      );
    }
    case 'versioned': {
      const [table] = asked(verdict.tables);
      if (table === undefined) return effectsOf(verdict.otherwise, deps, pos);
      throw new StreamError(
        'event_unsupported',
        `${verdict.what} has ${table.schema}.${table.table} keep old versions of its rows, which is not supported.`,
        {
          hint: 'Leave the table out with exclude_tables. Once it was altered with DROP SYSTEM VERSIONING and the stream has passed that, take it in again: all of its rows are read.',
        },
      );
    }
    case 'shifted': {
      for (const table of asked(verdict.left)) book.leftovers.tell(table, verdict.what);
      const gone = emptied(asked(verdict.gone), { kind: 'gone' });
      const came = asked(verdict.moves.map(({ to }) => to));
      if (came.length === 0) return gone;
      forgotten(came);
      return all([...(gone === null ? [] : [gone]), book.refilled(verdict.moves.map(both), verdict.told)]);
    }
    case 'renamed': {
      const moves = settled(verdict.moves.map(both));
      if (moves.length === 0) return changed(asked(verdict.moves.map(({ to }) => to)), verdict.told);
      const names = asked(moves.flatMap(({ from, to }) => [from, to]));
      forgotten(names);
      return names.length === 0 ? null : book.moved(moves, verdict.told);
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
