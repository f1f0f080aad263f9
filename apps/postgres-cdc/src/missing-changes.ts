import type { Log, SourceContext } from '@planasonix/core';
import type { PostgresConfig } from './config.js';
import type { RowFeed } from './rows/row-feed.js';
import type { RowTask } from './rows/row-task.js';
import type { StrayState } from './rows/rows-state.js';
import { nameOf, same, type TakenTables } from './taken-tables.js';
import { isAsked, type TableName } from './tables.js';

export interface MissingChangesDeps {
  readonly config: PostgresConfig;
  readonly log: Log;
  readonly context: Pick<SourceContext, 'streamId'>;
  readonly feed: RowFeed;
  readonly taken: TakenTables;
  /** No rows are to be read: what is missing stays missing. */
  readonly rowless: () => boolean;
  /** Tables are to be looked for at once. */
  look(): void;
}

/** The name under which rows are wanted. */
const wished = ({ schema, name }: RowTask['wish']): string => nameOf({ schema, table: name });

/** Tables of which the log lacks changes or rows under the name that readers have them by: their rows are read anew. */
export class MissingChanges {
  /** How often rows were wanted anew, and of how many times a look has taken care. */
  wanted = 0;
  answered = 0;

  constructor(private readonly deps: MissingChangesDeps) {}

  /** The name by which the stream has a table; absent: it does not. */
  nameOf(oid: number): string | undefined {
    const task = this.deps.feed.all.find(({ wish }) => wish.oid === oid && wish.order === null);
    return task === undefined ? this.deps.taken.noted.get(oid) : wished(task.wish);
  }

  /** OIDs of tables that are the stream's already. */
  known(): Map<number, string> {
    const tasks = this.deps.feed.all.filter(({ wish }) => wish.order === null);
    return new Map([...this.deps.taken.noted, ...tasks.map(({ wish }) => [wish.oid, wished(wish)] as const)]);
  }

  /** Readers may have rows and changes of another table under this name, of which not all rows were read. */
  begunAs(name: string): boolean {
    return this.deps.feed.all.some(({ wish }) => wish.order === null && wished(wish) === name);
  }

  /** Tables that were dropped before all of their rows were read: one that is made anew under such a name says so first. */
  leaveDropped(): void {
    const { feed, taken } = this.deps;
    const names = new Set(taken.noted.values());
    for (const { wish, phase } of feed.all) {
      const name = wished(wish);
      if (wish.order === null && phase === 'cancelled' && !names.has(name)) taken.goes(name, wish.oid);
    }
  }

  /** Rows that an earlier reader began go on, of tables that are asked for. @returns OIDs of those that are to be read anew all the same */
  goOn(asked: ReadonlySet<number>): readonly number[] {
    const { feed, taken } = this.deps;
    const own = feed.all.filter(({ wish }) => wish.order === null);
    const left = own.filter(({ wish }) => taken.isLeft(wish.oid, wished(wish))).map(({ wish }) => wish.oid);
    for (const { wish, state } of own) taken.goesOn(wish.oid, wished(wish), state.key);
    const strange = ({ order, oid }: RowTask['wish']): boolean => order === null && !asked.has(oid);
    feed.cancel(strange);
    feed.forget(strange);
    return left;
  }

  /** The stream has come to changes of a table under this name, or by this key. */
  came(one: StrayState): void {
    const as = this.nameOf(one.oid);
    const by = this.deps.taken.keys.get(one.oid);
    if (as === undefined && one.asked) {
      if (one.key !== undefined) this.deps.taken.told(one.oid, one.key);
      this.deps.look();
    } else if (as !== one.name || (by !== undefined && one.key !== undefined && !same(by, one.key))) this.stray(one);
  }

  /** Readers of rows have met a table that has this key: where rows or changes have come by another one, they are read anew. */
  rekeyed(oid: number, key: readonly string[]): void {
    const by = this.deps.taken.keys.get(oid);
    if (by === undefined || same(by, key) || this.deps.rowless()) return;
    this.readAnew([oid]);
    this.deps.look();
  }

  /** Readers of rows have met a table under another name, which the stream may never say anything of. */
  renamed(oid: number, to: TableName): void {
    if (this.deps.rowless()) return;
    this.came({ oid, name: nameOf(to), asked: isAsked(this.deps.config, { ...to, ancestors: [] }) });
    this.deps.look();
  }

  /** Under another name, or by another key, these are other rows to readers: they lack these changes under what they have. */
  stray(one: StrayState): void {
    const { oid, name, asked } = one;
    const { taken } = this.deps;
    // Without rows nothing is missing: the log has its changes under either name.
    if (asked && this.deps.rowless()) return;
    const known = this.known();
    const was = known.get(oid) ?? one.was;
    if (was !== undefined) {
      if (!known.has(oid)) taken.waiting.set(oid, was);
      taken.stray({ ...one, was });
      // Whoever has this name has changes of another table among its own.
      const others = asked ? [...known].flatMap(([other, of]) => (of === name && other !== oid ? [other] : [])) : [];
      this.readAnew([oid, ...others]);
      if (asked) taken.gone.set(name, oid);
      this.deps.look();
    } else if (taken.isGone(oid) && taken.gone.get(name) !== oid && !taken.missed.has(oid)) {
      taken.missed.add(oid);
      taken.stray(one);
    }
  }

  /** Their rows are read anew, as soon as their changes are published: readers forget what they have. */
  readAnew(oids: readonly number[]): void {
    const { taken, feed, log, context } = this.deps;
    const lost = new Set(oids);
    for (const oid of lost) taken.unpublish(oid);
    const known = [...lost].filter((oid) => taken.nameOf(oid) !== undefined);
    if (known.length === 0) return;
    this.wanted++;
    log.warn(
      { streamId: context.streamId, tables: known.length },
      'changes of tables are missing, for their publication, partitions, names or keys have changed; their rows are read anew',
    );
    feed.cancel((wish) => lost.has(wish.oid) && wish.order === null);
    feed.forget((wish) => lost.has(wish.oid) && wish.order === null);
    // Nobody has told an order that is being read of what is missing.
    for (const task of feed.all) if (lost.has(task.wish.oid) && !task.over) task.watch.blur();
    for (const oid of known) {
      const was = taken.nameOf(oid)!;
      taken.missed.add(oid);
      taken.stray({ oid, name: was, asked: true, was });
    }
    taken.leave((oid) => lost.has(oid));
  }
}
