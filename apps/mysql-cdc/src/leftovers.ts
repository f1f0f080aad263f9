import type { Log, TableProgress } from '@planasonix/core';
import type { TableName } from './tables.js';

/** Tables of which rows went away without a word about which: what readers have of these they keep until they forget the whole table. */
export class Leftovers {
  readonly #notes = new Map<string, string>();

  constructor(private readonly log: Log) {}

  /** @param what took the rows away */
  tell({ schema, table }: TableName, what: string): void {
    const note = `${what} took rows away, and the log does not say which: readers keep what they have of these until the next op "t".`;
    this.#notes.set(`${schema}.${table}`, note);
    this.log.warn({ schema, table }, note);
  }

  /** Readers were told to forget what they have. @param subject `schema.table` */
  forgotten(subject: string): void {
    this.#notes.delete(subject);
  }

  /** One per table, of the last such statement. */
  get told(): TableProgress[] {
    const none = { state: 'done', rows_done: 0, rows_estimated: null, order: null } as const;
    return [...this.#notes].map(([table, note]) => ({ table, ...none, note }));
  }
}
