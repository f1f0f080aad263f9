import { StreamError, type Position } from '@planasonix/core';
import { z } from 'zod';
import { rowsState } from './rows/rows-state.js';
import type { LogPlace } from './server.js';

const kinds = z.record(z.string(), z.record(z.string(), z.enum(['uuid', 'inet6', 'inet4', 'json'])));

const position = z.object({
  /**
   * - `rows`: rows, and nothing else, are being read as they were at this place.
   * - `stream`: everything that committed before this place is in the log.
   * - `done`: rows were all that was asked for, and they are there.
   */
  phase: z.enum(['rows', 'stream', 'done']),
  /** Which server it is: MySQL's server_uuid, what comes nearest to it in MariaDB. */
  server: z.string(),
  file: z.string().regex(/^.+\.\d{6,}$/),
  /** End of the last transaction in `file`, in bytes; past 4 GiB where that was a large one. */
  pos: z.int().min(0),
  /** Of that transaction, or of the last one before reading began; `null` where it has none or that is not known. */
  gtid: z.string().nullable(),
  /**
   * When that transaction's last statement with rows began, or the statement that it is, seconds since the Unix epoch; `null`:
   * not known. Replicas keep that; MariaDB's do not keep when it was committed.
   */
  at: z.int().min(0).nullable().default(null),
  /**
   * Every transaction that was read, or was there before reading began: what another server is held against. `null`: not
   * known, or there are no GTIDs.
   */
  gtids: z.string().nullable().default(null),
  /** How often reading has begun from nothing, or went on at another server: what comes later is in order after it. */
  attempt: z.int().min(1),
  /** The attempt that began from nothing; part of ids, which stay what they are on another server. Absent: `attempt`. */
  origin: z.int().min(1).optional(),
  /** Where that transaction begins, and a checksum of its events: another server's log has other ones there. */
  proof: z.object({ begin: z.int().min(0), print: z.int().min(0) }).nullable(),
  /**
   * Where the last transaction before `pos` begins, as far as that was looked for: without a proof that is all that is
   * known of what was handed over, and rows beside the log have to see it.
   */
  last: z.object({ file: z.string(), pos: z.int().min(0) }).optional(),
  /** What the file says of itself at its beginning; `null`: not read yet. */
  head: z.string().nullable(),
  /** Table → column → what the catalog called it when these rows were written, where the log has no word for it. */
  kinds: kinds.default({}),
  /** How far rows have come that are read beside the log, or alone. */
  rows: rowsState.optional(),
});

/** A place in the binlog of one server. */
export type MySqlPosition = z.output<typeof position>;
export type ColumnKind = 'uuid' | 'inet6' | 'inet4' | 'json';
export type Kinds = Readonly<Record<string, Readonly<Record<string, ColumnKind>>>>;

export const encodePosition = (place: MySqlPosition): Position => JSON.stringify(place);

/** @throws StreamError `config_invalid` where the text is not a position of this source. */
export function decodePosition(text: Position): MySqlPosition {
  try {
    return position.parse(JSON.parse(text));
  } catch (cause) {
    throw new StreamError('config_invalid', 'The stored position is not a position of mysql_cdc.', { cause });
  }
}

/** `binlog.000042` → 42; names of one log differ in nothing else. */
export const fileNumber = (file: string): number => Number(file.slice(file.lastIndexOf('.') + 1));
export const fileBase = (file: string): string => file.slice(0, file.lastIndexOf('.'));

/** Where the transaction begins that was handed over last: the file of its place at the least. */
export const lastBegun = ({ file, proof, last }: MySqlPosition): { readonly file: number; readonly pos: number } => ({
  file: fileNumber(file),
  pos: proof?.begin ?? (last?.file === file ? last.pos : 0),
});

export const isBefore = (a: LogPlace, b: LogPlace): boolean =>
  fileNumber(a.file) < fileNumber(b.file) || (a.file === b.file && a.pos < b.pos);

/**
 * Where it is noted what was asked for, and in between: a table that was not asked for all the time lacks changes. And
 * which tables have rows that are still to be read, and which orders were carried out.
 */
export const NOTEBOOK = '#asked';
const asked = z.object({ tables: z.array(z.string()), exclude_tables: z.array(z.string()) });
const unread = z.object({
  schema: z.string(),
  table: z.string(),
  /** Names the reading in ids, and ties what the position says of it to this. */
  id: z.string(),
  /** Readers may have rows of the table. */
  empties: z.boolean(),
  /** All rows were asked for anew, or are others by a change that did not say which: also where the stream has `snapshot: never`. */
  anyway: z.boolean().optional(),
  /** The log itself has replaced its rows: what it has no word for is known from there, and not from the catalog of later. */
  renewed: z.boolean().optional(),
});
const notes = z.object({
  asked: z.array(asked),
  unread: z.array(unread).default([]),
  /** Ids of orders of which the log has all rows, newest last; absent: of an earlier version. */
  orders: z.array(z.string()).optional(),
});
export type Asked = z.output<typeof asked>;
export type Unread = z.output<typeof unread>;
export type Notes = Readonly<z.output<typeof notes>>;

export const encodeNotes = ({ asked, unread, orders }: { readonly [K in keyof Notes]: Readonly<Notes[K]> }): Position =>
  JSON.stringify({
    asked: asked.map(({ tables, exclude_tables }) => ({ tables, exclude_tables })),
    ...{ unread, orders },
  });
export const decodeNotes = (text: Position): Notes => notes.parse(JSON.parse(text));
