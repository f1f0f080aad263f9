import type { Positions, SourceContext } from '@planasonix/core';
import { z } from 'zod';
import type { ExcludedMemory } from '../excluded-columns.js';
import type { Partitions } from '../partitions.js';

/** A range of keys of one table that is read from its beginning to its end; bounds are texts of the key's columns. */
const lane = z.object({
  /** Everything up to here, included, is in the log; `null`: nothing yet. */
  after: z.array(z.string()).nullable(),
  /** `null`: to the end. */
  upto: z.array(z.string()).nullable(),
  /** Chunks that were begun. */
  chunk: z.number().int(),
  done: z.boolean().optional(),
  /** It goes over ranges that others have read or will: for keys that were too many to be read by themselves. */
  sweep: z.boolean().optional(),
});

const table = z.object({
  oid: z.number().int(),
  table: z.string(),
  /** Id of the order; `null`: the stream's own rows. */
  order: z.string().nullable(),
  /** Names the snapshot in ids. */
  id: z.string(),
  /** Grows whenever something may be read that was read before. */
  attempt: z.number().int(),
  /** Columns of the key that the lanes go by; empty: read as a whole; `null`: not looked at yet. */
  key: z.array(z.string()).nullable(),
  /** OIDs of their types; absent: not known, an older position. */
  types: z.array(z.number().int()).optional(),
  /** Which columns they are and what they are sorted by (`SourceTable.keySorts`); absent: not known, an older position. */
  sorts: z.array(z.string()).optional(),
  lanes: z.array(lane),
  /** Keys whose rows have to be read (again) by themselves. */
  again: z.array(z.array(z.string())),
  rows: z.number().int(),
  /** Readers have to be told to forget what they have of the table (`op:"t"`); and they were. */
  empties: z.boolean(),
  emptied: z.boolean(),
  /** Readers have forgotten what they had of the table for this, and not got all of its rows since, whoever reads them by now. */
  owed: z.boolean().optional(),
  done: z.boolean(),
});

/** Behind rows that were read as a whole: changes of transactions that they hold are left out up to a place. */
const sift = z.object({
  oid: z.number().int(),
  /** `pg_current_snapshot()`, or an LSN for a standby. */
  held: z.string(),
  until: z.string(),
});

/** The stream has said that a transaction emptied a table with partitions, and the notebook does not have its new files yet. */
const emptying = z.object({ oid: z.number().int(), xid: z.number().int() });

/** Readers lack changes of a table, most often for they came under another name, or by another key, than they have its rows by, and the notebook does not have it yet. */
const stray = z.object({
  oid: z.number().int(),
  name: z.string(),
  /** The stream reads what has that name; otherwise the changes were left out. */
  asked: z.boolean(),
  /** Columns of the key by which they came. */
  key: z.array(z.string()).readonly().optional(),
  /** The name by which readers have the table; absent: of an earlier version, or they do not have it. */
  was: z.string().optional(),
});

/** How far the rows of tables have come; a part of the position, and so in the log in one write with them. */
export const rowsState = z.object({
  tables: z.array(table),
  sifts: z.array(sift),
  /** Ids of orders of which something is still to be read: `tables` leaves out what waits for its turn. Absent: of an earlier version. */
  open: z.array(z.string()).optional(),
  emptyings: z.array(emptying).optional(),
  strays: z.array(stray).optional(),
});

export type LaneState = z.output<typeof lane>;
export type TableState = z.output<typeof table>;
export type SiftState = z.output<typeof sift>;
export type EmptyingState = z.output<typeof emptying>;
export type StrayState = z.output<typeof stray>;
export type RowsState = z.output<typeof rowsState>;

/** The partition that is a notebook: whose rows the log has, or was not to get. */
export const NOTEBOOK = '#tables';

const notebook = z.object({
  v: z.literal(1),
  tables: z.record(z.string(), z.number().int()),
  /** OID → what stood for its membership of the publication, for those whose changes are taken. */
  published: z.record(z.string(), z.string()).default({}),
  /** OID of a partitioned table → name of a partition → its OID; file and horizon since those are noted. */
  partitions: z
    .record(
      z.string(),
      z.record(z.string(), z.union([z.number().int(), z.tuple([z.number().int(), z.number().int(), z.string()])])),
    )
    .default({}),
  /** Ids of orders that were carried out; absent: an older notebook. */
  orders: z.array(z.string()).optional(),
  rereads: z.boolean().default(false),
  /** OID → name of a table whose changes are taken, and of whose rows the log has not all. */
  waiting: z.record(z.string(), z.string()).default({}),
  /** OIDs of tables of which changes are missing. */
  missed: z.array(z.number().int()).default([]),
  /** OID → columns of the key by which rows were read, or are to be; empty: changes have come by several. */
  keys: z.record(z.string(), z.array(z.string())).default({}),
  /** OID → name by which a table was met, and `attnum` → name of its excluded columns. */
  excluded: z
    .record(z.string(), z.object({ table: z.string(), columns: z.record(z.string(), z.string()) }))
    .default({}),
});

export interface Notebook {
  readonly tables: Map<number, string>;
  /** OID → name of tables whose changes are taken, and of whose rows the log has not all. */
  readonly waiting: Map<number, string>;
  /** Name → OID of tables that do not come under it any more, and whose rows readers may still have under it. */
  readonly gone: Map<string, number>;
  readonly published: Map<number, string>;
  /** OID of a table → its partitions. */
  readonly partitions: Map<number, Partitions>;
  /** Ids of orders of which the log has all rows, newest last; `null`: it does not say. */
  readonly orders: readonly string[] | null;
  /** All rows were asked for anew, and some are still to be read, though the stream has `snapshot: never`. */
  readonly rereads: boolean;
  /** OIDs of tables of which changes are missing, and whose rows have not been read anew. */
  readonly missed: Set<number>;
  /** OID → columns of the key by which readers have its rows and changes, or are to get them. */
  readonly keys: Map<number, readonly string[]>;
  readonly excluded: ExcludedMemory;
}

/** In it a negative OID is that of a table that is gone. @returns `null` where nothing was noted. */
export function readNotebook(text: string | undefined): Notebook | null {
  if (text === undefined) return null;
  const {
    tables,
    published,
    partitions,
    orders = null,
    rereads,
    waiting,
    missed,
    keys,
    excluded,
  } = notebook.parse(JSON.parse(text));
  const names = Object.entries(tables);
  return {
    tables: new Map(names.flatMap(([name, oid]) => (oid > 0 ? [[oid, name] as const] : []))),
    gone: new Map(names.flatMap(([name, oid]) => (oid > 0 ? [] : [[name, -oid] as const]))),
    partitions: new Map(
      Object.entries(partitions).map(([root, parts]) => [
        Number(root),
        new Map(
          Object.entries(parts).map(([name, part]) => {
            const [oid, file, horizon] = typeof part === 'number' ? [part, null, 0] : part;
            return [oid, { name, file, horizon: BigInt(horizon) }];
          }),
        ),
      ]),
    ),
    published: new Map(Object.entries(published).map(([oid, membership]) => [Number(oid), membership])),
    ...{ orders, rereads, missed: new Set(missed) },
    waiting: new Map(Object.entries(waiting).map(([oid, name]) => [Number(oid), name])),
    keys: new Map(Object.entries(keys).map(([oid, key]) => [Number(oid), key])),
    excluded: new Map(
      Object.entries(excluded).map(([oid, { table: met, columns }]) => [
        Number(oid),
        { table: met, columns: new Map(Object.entries(columns).map(([number, name]) => [Number(number), name])) },
      ]),
    ),
  };
}

/** OIDs of the tables that a stream has taken up; `null`: nothing was noted, so all that there are. */
export function takenUp(rows: RowsState | undefined, notes: string | undefined): ReadonlySet<number> | null {
  const noted = readNotebook(notes);
  if (noted === null) return null;
  // Also whose rows wait, of which nothing else is noted than that its changes are taken.
  return new Set([...noted.tables.keys(), ...noted.published.keys(), ...(rows?.tables ?? []).map(({ oid }) => oid)]);
}

/** What is remembered of excluded columns; `null`: nothing was ever read. @param from absent: for a look */
export async function excludedBefore(context: SourceContext, from?: Positions): Promise<ExcludedMemory | null> {
  const lost = context.onLostPosition === null ? undefined : await context.abandoned?.();
  const positions = lost ?? from ?? (await context.reached?.()) ?? new Map<string, string>();
  return positions.size === 0 ? null : (readNotebook(positions.get(NOTEBOOK))?.excluded ?? new Map());
}

export const writeNotebook = ({
  tables,
  waiting,
  gone,
  published,
  partitions,
  orders,
  rereads,
  missed,
  keys,
  excluded,
}: Notebook): string =>
  JSON.stringify({
    v: 1,
    tables: Object.fromEntries([
      ...[...gone].map(([name, oid]) => [name, -oid] as const),
      ...[...tables].map(([oid, name]) => [name, oid] as const),
    ]),
    published: Object.fromEntries(published),
    partitions: Object.fromEntries(
      [...partitions].map(([root, parts]) => [
        root,
        Object.fromEntries(
          [...parts].map(([oid, { name, file, horizon }]) => [
            name,
            file === null ? oid : [oid, file, String(horizon)],
          ]),
        ),
      ]),
    ),
    ...{ orders: orders ?? undefined, rereads: rereads || undefined },
    waiting: waiting.size === 0 ? undefined : Object.fromEntries(waiting),
    missed: missed.size === 0 ? undefined : [...missed],
    keys: Object.fromEntries(keys),
    excluded: Object.fromEntries(
      [...excluded].map(([oid, { table: met, columns }]) => [
        oid,
        { table: met, columns: Object.fromEntries(columns) },
      ]),
    ),
  });
