import { StreamError } from '@planasonix/core';
import type { Client } from 'pg';
import type { PostgresConfig } from './config.js';
import type { RelationInfo } from './decode/index.js';
import type { SourceColumn, SourceTable } from './tables.js';

type Config = Pick<PostgresConfig, 'exclude_columns'>;
type Named = Pick<SourceTable, 'oid' | 'schema' | 'table'>;

/** What is remembered of a table of which columns are excluded. */
export interface Excluded {
  /** The `schema.table` by which it was met first: what was excluded of it stays so, whatever it is called later. */
  readonly table: string;
  /** `attnum` → name of the excluded ones. A number stays when the name changes, and is never given again. */
  readonly columns: ReadonlyMap<number, string>;
}

/** By OID. */
export type ExcludedMemory = ReadonlyMap<number, Excluded>;

const fold = (name: string): string => name.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
const called = ({ schema, table }: Omit<Named, 'oid'>): string => `${schema}.${table}`;

/** A name as it was written and as SQL reads it are one: what is there by neither. */
function lacking(excluded: ReadonlySet<string>, columns: readonly Pick<SourceColumn, 'name'>[]): readonly string[] {
  const there = new Set(columns.flatMap(({ name }) => (excluded.has(name) ? [fold(name)] : [])));
  const names = new Map([...excluded].reverse().map((name) => [fold(name), name]));
  return [...names].flatMap(([folded, name]) => (there.has(folded) ? [] : [name])).reverse();
}

/** An excluded column that has another name by now, which is not excluded. */
function renamed(
  columns: readonly SourceColumn[],
  excluded: ReadonlySet<string>,
  known: Excluded['columns'],
): { readonly from: string; readonly to: string } | null {
  for (const { attnum, name: to } of columns) {
    const from = known.get(attnum);
    // Whose name was taken out of the config may be sent.
    if (from !== undefined && excluded.has(from) && !excluded.has(to)) return { from, to };
  }
  return null;
}

const gone = (table: string, from: string, to: string): StreamError =>
  new StreamError('config_invalid', `exclude_columns names ${from} of ${table}, which is called ${to} by now.`, {
    hint: `Name ${to} beside ${from} in exclude_columns.`,
  });

const unknown = (table: string, names: readonly string[]): StreamError =>
  new StreamError(
    'config_invalid',
    `exclude_columns names ${names.join(', ')} of ${table}, which has no such column.`,
    {
      hint: 'Correct the name, or take it out; of a column that was renamed give the new name beside the old one.',
    },
  );

export interface Looked {
  /** What may not be read as it is: something would be sent that was to be left out. */
  readonly refused: StreamError | null;
  /** Names that lead nowhere and do no harm: the column was dropped, or has its new name beside. */
  readonly unused: readonly string[];
}

/** Whether the names that a config excludes are those of the table's columns. @param memory `null`: nothing was ever read */
export function lookAtExcluded(config: Config, of: SourceTable, memory: ExcludedMemory | null): Looked {
  const known = memory?.get(of.oid);
  const table = called(of);
  const excluded = excludedBy(config, [table, known?.table]);
  const names = lacking(excluded, of.all);
  const other = known === undefined ? null : renamed(of.all, excluded, known.columns);
  if (other !== null) return { refused: gone(table, other.from, other.to), unused: [] };
  const none = of.all.every(({ name }) => !excluded.has(name));
  const strange = memory === null || (none && known === undefined);
  if (names.length > 0 && strange) return { refused: unknown(table, names), unused: [] };
  return { refused: null, unused: names };
}

const excludedBy = (config: Config, tables: readonly (string | undefined)[]): ReadonlySet<string> =>
  new Set(tables.flatMap((name) => config.exclude_columns[name ?? ''] ?? []));

const COLUMNS = `
  SELECT a.attnum, a.attname AS name, a.attgenerated <> '' AS generated FROM pg_catalog.pg_attribute a
  WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped`;

interface Table {
  readonly name: string;
  readonly columns: Map<number, string>;
  /** As the catalog had them last. */
  live: readonly SourceColumn[];
  /** Of its last Relation message. */
  sent: ReadonlySet<string>;
  /** Excluded ones that the stream has passed the end of. */
  readonly ended: Set<number>;
  /** It is asked for, and no part of another. */
  own: boolean;
}

/**
 * Columns that never leave the worker, also under another name. Changes carry the names of their time and no numbers, the
 * catalog has both as of now: neither alone tells a column that was renamed from one that was dropped.
 */
export class ExcludedColumns {
  /** Something is to be remembered that was not before. */
  changed = false;
  private readonly tables = new Map<number, Table>();

  constructor(private readonly config: Config) {}

  /** What the stream knew when it ended last. */
  recall(memory: ExcludedMemory | null): void {
    for (const [oid, { table, columns }] of memory ?? []) this.meet(oid, table, columns);
  }

  /** Those of tables that are asked for. */
  get memory(): ExcludedMemory {
    const own = [...this.tables].filter(([, { own: is, columns }]) => is && columns.size > 0);
    return new Map(own.map(([oid, { name, columns }]) => [oid, { table: name, columns }]));
  }

  /** A table that is asked for, as the catalog has it. */
  add(of: SourceTable): void {
    const table = this.meet(of.oid, called(of), new Map());
    table.own = true;
    this.note(table, of.all, this.of(of));
  }

  /** By the table's name now, the one that it was met by, and that of its root. */
  of(table: Named, root = table.oid): ReadonlySet<string> {
    const met = [table.oid, root].map((oid) => this.tables.get(oid)?.name);
    return excludedBy(this.config, [called(table), ...met]);
  }

  /** Whether the columns of a table of which some are excluded are others than the catalog had when it was last asked. */
  differ(relation: RelationInfo): boolean {
    const live = this.tables.get(relation.oid)?.live ?? [];
    const sent = JSON.stringify(relation.columns.map(({ name }) => name));
    const same = [live, live.filter(({ generated }) => generated === null)].some(
      (columns) => JSON.stringify(columns.map(({ name }) => name)) === sent,
    );
    return !same && this.of(relation).size > 0;
  }

  /** Its form has changed, or it is new. */
  async learn(control: Client, relation: RelationInfo, root?: number): Promise<void> {
    const excluded = this.of(relation, root);
    if (excluded.size === 0) return;
    const { rows } = await control.query<Record<'attnum' | 'name' | 'generated', string>>(COLUMNS, [relation.oid]);
    const live = rows.map(({ attnum, name, generated }) => ({
      ...{ attnum: Number(attnum), name, typeOid: 0, generated: generated === 't' ? ('stored' as const) : null },
    }));
    this.note(this.meet(relation.oid, called(relation), new Map()), live, excluded);
  }

  /** For rows that are about to be read. @throws StreamError `config_invalid` where the config does not say what to leave out */
  ofRows(of: SourceTable): ReadonlySet<string> {
    const excluded = this.of(of);
    if (excluded.size > 0) this.refuse(of, of.all, of.all, excluded);
    return excluded;
  }

  /** For changes that are about to come. @throws StreamError `config_invalid` where the config does not say what to leave out */
  ofChanges(relation: RelationInfo, root?: number): ReadonlySet<string> {
    const excluded = this.of(relation, root);
    if (excluded.size === 0) return excluded;
    const table = this.tables.get(relation.oid);
    const sent = relation.columns;
    this.refuse(relation, sent, table?.live ?? [], excluded);
    if (table === undefined) return excluded;
    const missing = [...table.columns].filter(([, name]) => !sent.some((column) => column.name === name));
    if (this.expected(table) > sent.filter(({ name }) => excluded.has(name)).length) {
      const known = new Set([...table.sent, ...table.live.map(({ name }) => name)]);
      const strange = sent.filter(({ name }) => !excluded.has(name) && !known.has(name)).map(({ name }) => name);
      if (strange.length > 0)
        throw gone(called(relation), missing.map(([, name]) => name).join(', '), strange.join(' or '));
    }
    for (const [number] of missing) if (!table.live.some(({ attnum }) => attnum === number)) table.ended.add(number);
    table.sent = new Set(sent.map(({ name }) => name));
    return excluded;
  }

  private refuse(
    of: Named,
    columns: readonly Pick<SourceColumn, 'name'>[],
    live: readonly SourceColumn[],
    excluded: ReadonlySet<string>,
  ): void {
    const known = this.tables.get(of.oid)?.columns ?? new Map<number, string>();
    const other = renamed(live, excluded, known);
    if (other !== null) throw gone(called(of), other.from, other.to);
    // Nothing that it leaves out was ever seen.
    if (known.size === 0 && columns.every(({ name }) => !excluded.has(name)))
      throw unknown(called(of), lacking(excluded, columns));
  }

  /** How many excluded columns its changes should have. Those that are worked out by the server may not be sent. */
  private expected({ columns, live, ended }: Table): number {
    const unsent = new Set(live.flatMap(({ attnum, generated }) => (generated === null ? [] : [attnum])));
    return [...columns.keys()].filter((number) => !unsent.has(number) && !ended.has(number)).length;
  }

  private meet(oid: number, name: string, columns: Excluded['columns']): Table {
    let table = this.tables.get(oid);
    if (table === undefined) {
      table = { name, columns: new Map(columns), live: [], sent: new Set(), ended: new Set(), own: false };
      this.tables.set(oid, table);
    }
    return table;
  }

  private note(table: Table, live: readonly SourceColumn[], excluded: ReadonlySet<string>): void {
    table.live = live;
    for (const [number, name] of table.columns) {
      const replaced = live.some((one) => one.name === name) && live.every(({ attnum }) => attnum !== number);
      if (!excluded.has(name) || replaced) this.changed = table.columns.delete(number) || this.changed;
    }
    for (const { attnum, name } of live) {
      if (!excluded.has(name) || table.columns.get(attnum) === name) continue;
      table.columns.set(attnum, name);
      this.changed = true;
    }
  }
}
