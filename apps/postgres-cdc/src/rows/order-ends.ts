import type { RowTask, RowWish } from './row-task.js';

export interface OrderEndsDeps {
  tasks(): readonly RowTask[];
  /** It is not read any further. */
  drop(task: RowTask, why: string | null): void;
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

  /** Some of its rows are wanted, and can't be told from the others: an order that was begun before it lost its key. */
  keyless({ wish: { order, schema, name } }: RowTask): void {
    if (order === null) return;
    const why = `${schema}.${name} has no key, and only all of its rows can be read.`;
    this.cancel((wish) => wish.order === order, why);
    this.deps.refuse(order, why);
  }

  /** A condition that fails on a row ends its order alone; the server's words could hold that row's values. */
  failed({ wish: { order, where, schema, name } }: RowTask, error: unknown): null {
    const { code = '' } = error as { code?: string };
    if (order === null || where === null || !/^(22|42|P0)...$/.test(code)) throw error;
    this.deps.refuse(order, `Its condition fails on rows of ${schema}.${name} (SQLSTATE ${code}).`);
    return null;
  }
}
