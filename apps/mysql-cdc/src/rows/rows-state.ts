import { z } from 'zod';

/** What the server gave for each column of a key, or for the first of them: see `key-column.ts`. */
const bound = z.array(z.string());

/** A range of keys of one table that is read from its beginning to its end. */
const lane = z.object({
  /** Everything up to here, included, is in the log; `null`: nothing yet. */
  after: bound.nullable(),
  /** `null`: to the end. */
  upto: bound.nullable(),
  /** Chunks that were begun. */
  chunk: z.number().int(),
  done: z.boolean().optional(),
});

const table = z.object({
  schema: z.string(),
  table: z.string(),
  /** Id of the order; `null`: the stream's own rows. */
  order: z.string().nullable(),
  /** Names the snapshot in ids. */
  id: z.string(),
  /** Grows whenever something may be read that was read before. */
  attempt: z.number().int(),
  /** Forms of the columns that the lanes go by; empty: read as a whole; `null`: not looked at yet. */
  key: z.array(z.string()).nullable(),
  lanes: z.array(lane),
  rows: z.number().int(),
  /** Readers have to be told to forget what they have of the table (`op:"t"`); and they were. */
  empties: z.boolean(),
  emptied: z.boolean(),
  /** They were, at some time, and do not have all of its rows since. Absent: not so, or of an earlier version. */
  owed: z.boolean().optional(),
  done: z.boolean(),
});

/** Behind rows that were read as a whole: their changes up to this place are in them already. */
const sift = z.object({ schema: z.string(), table: z.string(), file: z.string(), pos: z.number().int() });

/** How far the rows of tables have come; a part of the position, and so in the log in one write with them. */
export const rowsState = z.object({
  tables: z.array(table),
  sifts: z.array(sift),
  /** Ids of orders of which something is still to be read: `tables` leaves out what waits for its turn. Absent: of an earlier version. */
  open: z.array(z.string()).optional(),
});

export type LaneState = z.output<typeof lane>;
export type TableState = z.output<typeof table>;
export type SiftState = z.output<typeof sift>;
export type RowsState = z.output<typeof rowsState>;
