import type { RowOp } from '@planasonix/core';
import { piece, type Piece } from '@planasonix/json-buffer';
import type { ColumnKind } from '../position.js';
import type { Flavor } from '../server.js';
import type { Decode } from './charsets.js';
import type { TableForm } from './table-form.js';
import { valueReader, type ValueReader } from './value-readers.js';

/** A table made ready: everything about its rows that is the same for each of them is encoded once. */
export interface Relation {
  readonly schema: string;
  readonly table: string;
  readonly subject: string;
  readonly readers: readonly ValueReader[];
  /** `"name":` with a comma before it and without; for the key, in which the comma's place is another. */
  readonly labels: readonly Piece[];
  readonly bareLabels: readonly Piece[];
  /** Columns that never leave the worker. */
  readonly hidden: readonly boolean[];
  /** Key columns by index, in the key's order. */
  readonly key: readonly number[];
  readonly isKey: readonly boolean[];
  /** `{"id":` and `,"part":` for each part of the key. */
  readonly keyLabels: readonly string[];
  /** `{"op":"c","before":` … up to the row, per operation. */
  readonly heads: Readonly<Record<RowOp, Piece>>;
  /** `,"unchanged":[],"source":{"connector":…` up to what differs by row. */
  readonly sourceHead: Piece;
}

export interface RelationOptions {
  readonly flavor: Flavor;
  readonly decodeOf: (collation: number) => Decode;
  readonly excluded: ReadonlySet<string>;
  readonly kinds: Readonly<Record<string, ColumnKind>>;
}

/** What every table has, whether it comes from the log or from the catalog. */
export function relationFrame(
  { schema, table, names, key }: { schema: string; table: string; names: readonly string[]; key: readonly number[] },
  { flavor, excluded }: Pick<RelationOptions, 'flavor' | 'excluded'>,
): Omit<Relation, 'readers'> {
  const label = (name: string, comma: string): Piece => piece(`${comma}${JSON.stringify(name)}:`);
  const head = (op: RowOp): Piece => piece(`{"op":"${op}","before":`);
  // Names of columns do not tell upper from lower case.
  const hidden = names.map((name) => excluded.has(name.toLowerCase()));
  const shown = key.filter((i) => !hidden[i]);
  const [db, name] = [JSON.stringify(schema), JSON.stringify(table)];
  return {
    ...{ schema, table, hidden, key: shown, subject: `${schema}.${table}` },
    labels: names.map((one) => label(one, ',')),
    bareLabels: names.map((one) => label(one, '')),
    isKey: names.map((_, i) => shown.includes(i)),
    keyLabels: shown.map((i, n) => `${n === 0 ? '{' : ','}${JSON.stringify(names[i])}:`),
    heads: { c: head('c'), u: head('u'), d: head('d'), r: head('r'), t: head('t') },
    sourceHead: piece(
      `,"unchanged":[],"source":{"connector":"${flavor}","db":${db},"schema":${db},"table":${name},"snapshot":`,
    ),
  };
}

export function prepareRelation(form: TableForm, options: RelationOptions): Relation {
  const { schema, table, columns, key } = form;
  const names = columns.map(({ name }) => name);
  return {
    ...relationFrame({ schema, table, names, key }, options),
    readers: columns.map((column) =>
      valueReader(column, options.decodeOf(column.collation), options.kinds[column.name]),
    ),
  };
}
