import { toldText } from '@planasonix/core';
import type { RowTask, RowWish } from './row-task.js';
import type { Unfit } from './task-opening.js';

const DENIED = '42501';

export interface OrderEndsDeps {
  tasks(): readonly RowTask[];
  /** It is not read any further. */
  drop(task: RowTask, why: string | null): void;
  /** Rows are read under a snapshot that somebody else keeps. */
  exported(): boolean;
  /** An order can't be carried out. */
  refuse(order: string, why: string): void;
}

/** How the reading of a table ends otherwise than by its last row. */
export class OrderEnds {
  constructor(private readonly deps: OrderEndsDeps) {}

  cancel(which: (wish: RowWish) => boolean, why: string | null = null): void {
    for (const task of this.deps.tasks()) if (!task.over && which(task.wish)) this.deps.drop(task, why);
  }

  /** Nobody wants them any more; what readers have forgotten for them they get all the same, or they would have half a table. */
  takeBack(isWanted: (order: string) => boolean): void {
    for (const task of this.deps.tasks()) {
      const { order } = task.wish;
      if (task.over || order === null || isWanted(order)) continue;
      if (task.owed) task.takenBack = true;
      else this.deps.drop(task, null);
    }
  }

  /** Its table is not there any more; an order of which nothing else is left ends with that. */
  gone({ wish, over }: RowTask): void {
    const { order, schema, name } = wish;
    const why = `${schema}.${name} was dropped before all of its rows were read.`;
    this.cancel((one) => one === wish, why);
    const isOpen = ({ wish: { order: of }, phase }: RowTask): boolean => of === order && phase !== 'cancelled';
    if (over || order === null || this.deps.tasks().some(isOpen)) return;
    this.deps.refuse(order, why);
  }

  /** Some of its rows are wanted, and its condition can't be used any more: it fitted when the order was begun. */
  unfit({ wish: { order, schema, name } }: RowTask, as: Unfit): void {
    if (order === null) return;
    const why = `${schema}.${name} ${UNFIT[as]}`;
    this.cancel((wish) => wish.order === order, why);
    this.deps.refuse(order, why);
  }

  /** Rows could not be read. @returns `null` where that is so of this table alone, and its order ends with it. @throws otherwise */
  failed(task: RowTask, error: unknown): null {
    const { order } = task.wish;
    const why = order === null ? null : unread(task, error, this.deps.exported());
    if (order === null || why === null) throw error;
    if (!task.over) this.deps.refuse(order, why);
    return null;
  }
}

const UNFIT: Readonly<Record<Unfit, string>> = {
  keyless: 'has no key, and only all of its rows can be read.',
  unlisted: 'has columns in its condition that the publication does not list any more.',
};

/** SQLSTATEs by which the server judges a table, its rows or a condition, and not its own health or that of the connection. */
const OF_TABLE = /^(0A|22|42|P0)...$|^(XX001|XX002|58030)$/;
const OF_CONDITION = /^(22|42|P0)...$/;
/** Of a snapshot that is not there any more. */
const NO_SNAPSHOT = /^(22023|42704)$/;

/** Why rows of an ordered table can't be read; `null`: that is not known to be the table's. */
function unread({ wish, owed }: RowTask, error: unknown, exported: boolean): string | null {
  const { code = '', message = '' } = error as { code?: string; message?: string };
  if (!OF_TABLE.test(code) || (exported && NO_SNAPSHOT.test(code))) return null;
  const name = `${wish.schema}.${wish.name}`;
  const partly = owed ? ' Readers have forgotten what they had of it: order its rows again once that is mended.' : '';
  // The server's words for a right speak of names alone; others could hold a row's value.
  if (code === DENIED) return `Rows of ${name} can't be read: ${toldText(message)}.${partly}`;
  if (wish.where !== null && OF_CONDITION.test(code))
    return `Its condition fails on rows of ${name} (SQLSTATE ${code}).`;
  return `Rows of ${name} can't be read (SQLSTATE ${code}).${partly}`;
}
