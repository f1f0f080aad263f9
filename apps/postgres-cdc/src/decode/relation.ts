import type { RowOp } from '@planasonix/core';
import { piece, type Piece } from '@planasonix/json-buffer';
import type { TypeCatalog } from './type-catalog.js';
import type { ValueWriter } from './value-writers.js';

export interface RelationColumn {
  readonly name: string;
  readonly typeOid: number;
  /** The wire says that the column belongs to the replica identity. With FULL it says so of every column (trap 14). */
  readonly identity: boolean;
}

/** A table as a Relation message, or the catalog, tells it. */
export interface RelationInfo {
  readonly oid: number;
  readonly schema: string;
  readonly table: string;
  readonly replicaIdentity: 'd' | 'n' | 'f' | 'i';
  readonly columns: readonly RelationColumn[];
}

/** A change as whoever reads rows of the same table has to know it. */
export interface WrittenChange {
  /** `schema.table` that it came under. */
  readonly subject: string;
  readonly op: RowOp;
  readonly xid: number;
  readonly commitLsn: bigint;
  readonly key: string;
  /** The row of another key before: the second half of a key's change. */
  readonly moved: boolean;
  /** Where values were not sent again (TOAST) and nobody said them: texts of the key's columns. */
  readonly hole: readonly string[] | null;
  /** Those columns: the change may be older, or newer, than the key that rows are read by. */
  readonly by: readonly Pick<RelationColumn, 'name' | 'typeOid'>[];
}

/** Stands at a table while its rows are being read, or for as long as nobody wants it. */
export interface RowGate {
  /** `false`: the change is left out. */
  admits(xid: number, commitLsn: bigint): boolean;
  wrote(change: WrittenChange): void;
}

/** Where a gate is put up and taken away while the stream flows. */
export interface GateSlot {
  gate: RowGate | null;
}

/** A table made ready: everything about its rows that is the same for each of them is encoded once. */
export interface Relation extends RelationInfo {
  readonly subject: string;
  readonly writers: readonly ValueWriter[];
  /** `"name":` with a comma before it and without. */
  readonly labels: readonly Piece[];
  readonly firstLabels: readonly Piece[];
  /** Columns that never leave the worker. */
  readonly hidden: readonly boolean[];
  /** Key columns by index, in the key's order. */
  readonly key: readonly number[];
  readonly keyColumns: readonly RelationColumn[];
  readonly isKey: readonly boolean[];
  /** `{"op":"c","before":` … up to the row, per operation. */
  readonly heads: Readonly<Record<RowOp, Piece>>;
  /** `,"source":{"connector":…` up to what differs by row. */
  readonly sourceHead: Piece;
  readonly slot: GateSlot;
}

/**
 * Where the columns of the key stand, in its order. The wire says which they are; where it can't (FULL, and NOTHING, of which
 * only inserts come), or means the same ones, the catalog does.
 * @param keyNames from the catalog
 */
export function keyOf(info: RelationInfo, keyNames: readonly string[]): readonly number[] {
  const flagged = info.columns.flatMap((column, i) => (column.identity ? [i] : []));
  const at = new Map(info.columns.map((column, i) => [column.name, i]));
  const fromCatalog = keyNames.flatMap((name) => at.get(name) ?? []);
  const same = fromCatalog.length === flagged.length && fromCatalog.every((i) => flagged.includes(i));
  return same || info.replicaIdentity === 'f' || info.replicaIdentity === 'n' ? fromCatalog : flagged;
}

/** @param keyNames see `keyOf` */
export function prepareRelation(
  info: RelationInfo,
  keyNames: readonly string[],
  excluded: ReadonlySet<string>,
  database: string,
  catalog: TypeCatalog,
  slot: GateSlot = { gate: null },
): Relation {
  const hidden = info.columns.map((column) => excluded.has(column.name));
  const key = keyOf(info, keyNames).filter((i) => !hidden[i]);
  const label = (name: string, comma: string): Piece => piece(`${comma}${JSON.stringify(name)}:`);
  const head = (op: RowOp): Piece => piece(`{"op":"${op}","before":`);
  return {
    ...info,
    subject: `${info.schema}.${info.table}`,
    writers: info.columns.map((column) => catalog.writer(column.typeOid)),
    labels: info.columns.map((column) => label(column.name, ',')),
    firstLabels: info.columns.map((column) => label(column.name, '')),
    hidden,
    key,
    keyColumns: key.map((i) => info.columns[i]!),
    isKey: info.columns.map((_, i) => key.includes(i)),
    heads: { c: head('c'), u: head('u'), d: head('d'), r: head('r'), t: head('t') },
    sourceHead: piece(
      `,"source":{"connector":"postgres","db":${JSON.stringify(database)},"schema":${JSON.stringify(info.schema)},"table":${JSON.stringify(info.table)},"snapshot":`,
    ),
    slot,
  };
}

/** Reads a Relation message (`R`) of pgoutput, protocol 1. */
export function parseRelation(message: Buffer): RelationInfo {
  let at = 5;
  const text = (): string => {
    const end = message.indexOf(0, at);
    const value = message.toString('utf8', at, end);
    at = end + 1;
    return value;
  };
  const oid = message.readUInt32BE(1);
  const schema = text() || 'pg_catalog';
  const table = text();
  const replicaIdentity = String.fromCharCode(message[at]!) as RelationInfo['replicaIdentity'];
  const count = message.readUInt16BE(at + 1);
  at += 3;
  const columns: RelationColumn[] = [];
  for (let i = 0; i < count; i++) {
    const identity = (message[at]! & 1) === 1;
    at += 1;
    const name = text();
    columns.push({ name, typeOid: message.readUInt32BE(at), identity });
    at += 8;
  }
  return { oid, schema, table, replicaIdentity, columns };
}
