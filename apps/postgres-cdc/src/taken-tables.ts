import { StreamError } from '@planasonix/core';
import type { Memberships } from './publication.js';
import type { Notebook, StrayState } from './rows/rows-state.js';
import type { SourceTable } from './tables.js';

export const same = <T>(a: readonly T[], b: readonly T[]): boolean =>
  a.length === b.length && a.every((one, i) => one === b[i]);

/** No rows are to be read: what is missing stays missing. */
export const gap = (): StreamError =>
  new StreamError(
    'offset_gap',
    'Changes of tables are missing, for they left the publication or came under a name that is not asked for, and no rows are to be read.',
  );

export const nameOf = ({ schema, table }: Pick<SourceTable, 'schema' | 'table'>): string => `${schema}.${table}`;

/** Which tables are the stream's, under which names readers have their rows, and of which changes are missing. */
export class TakenTables {
  /** OID → name of the tables whose rows the log has, or was not to get. */
  readonly noted: Map<number, string>;
  /** OID → name of the tables whose changes are taken, and of whose rows the log has not all. */
  readonly waiting: Map<number, string>;
  /** Name → OID of a table that does not come under it any more: readers may still have rows under that name. */
  readonly gone: Map<string, number>;
  /** OID → its membership of the publication when its changes were first taken. */
  readonly published: Map<number, string>;
  /** OIDs of those of which changes are missing in the log, until their rows are read anew. */
  readonly missed: Set<number>;
  /** OID → columns of the key by which readers have its rows and changes, or are to get them, where that is known. */
  readonly keys: Map<number, readonly string[]>;
  /** Changes that came under another name, which the notebook does not know of yet. */
  private strays_: readonly StrayState[] = [];

  /** @param changed there is something new to be noted */
  constructor(
    notebook: Pick<Notebook, 'tables' | 'waiting' | 'gone' | 'published' | 'missed' | 'keys'> | null,
    private readonly changed: () => void,
  ) {
    this.noted = notebook?.tables ?? new Map<number, string>();
    this.waiting = notebook?.waiting ?? new Map<number, string>();
    this.gone = notebook?.gone ?? new Map<string, number>();
    this.published = notebook?.published ?? new Map<number, string>();
    this.missed = notebook?.missed ?? new Set<number>();
    this.keys = notebook?.keys ?? new Map<number, readonly string[]>();
  }

  /**
   * Under this name the log has its rows, or is to have none, and all of its changes from here on.
   * @param key by which it has the rows; `null`: it has none
   */
  note(oid: number, name: string, key: readonly string[] | null = null): void {
    this.noted.set(oid, name);
    this.waiting.delete(oid);
    if (key !== null) this.keys.set(oid, key);
    this.gone.delete(name);
    this.missed.delete(oid);
    this.changed();
  }

  /**
   * Its changes are taken from here on, and its rows are to be read, under this name and by this key.
   *
   * @returns whether readers may have changes of it by another key
   */
  take(oid: number, name: string, key: readonly string[]): boolean {
    const by = this.keys.get(oid);
    this.waiting.set(oid, name);
    this.keys.set(oid, key);
    this.changed();
    return by !== undefined && !same(by, key);
  }

  /** What a notebook of an earlier version does not say of one that is found: the name and the key that it has are taken for those of before. */
  recall(oid: number, name: string, key: readonly string[]): void {
    if (this.published.has(oid) && this.nameOf(oid) === undefined && !this.isGone(oid)) this.waiting.set(oid, name);
    if (this.nameOf(oid) !== undefined && !this.keys.has(oid)) this.keys.set(oid, key);
  }

  /** Its rows are to be read anew, says the notebook, and the position that was to follow does not: it goes on with those of before. */
  isLeft(oid: number, name: string): boolean {
    return this.gone.get(name) === oid && this.nameOf(oid) === undefined;
  }

  /** It is found under this name: of one that waits, readers may have changes under the name that it had. */
  isMet(oid: number, name: string): void {
    const was = this.waiting.get(oid);
    if (was !== undefined && was !== name) this.leave((one) => one === oid);
  }

  /** The reading of its rows goes on; by a key that a position of an earlier version does not say of it. */
  goesOn(oid: number, name: string, key: readonly string[] | null): void {
    this.waiting.set(oid, name);
    if (key !== null) this.keys.set(oid, key);
  }

  /** The stream tells of one that is not taken by this key; by several, and none of them is the one that it will be taken by. */
  told(oid: number, key: readonly string[]): void {
    const before = this.keys.get(oid);
    if (before !== undefined && same(before, key)) return;
    this.keys.set(oid, before === undefined ? key : []);
    this.changed();
  }

  /** The name under which readers have its rows, or changes of it; absent: they have none. */
  nameOf(oid: number): string | undefined {
    return this.noted.get(oid) ?? this.waiting.get(oid);
  }

  /** What is not taken any more may come back, under this name or another: then its rows are read anew. */
  leave(which: (oid: number) => boolean): void {
    for (const named of [this.waiting, this.noted])
      for (const [oid, name] of named) {
        if (!which(oid)) continue;
        named.delete(oid);
        this.keys.delete(oid);
        this.gone.set(name, oid);
        this.changed();
      }
  }

  /**
   * Forgets those whose changes were taken and that are not there any more, by whatever name.
   * @returns whether of some it is not known by which name readers may have changes of them
   */
  forgetVanished(asked: ReadonlySet<number>): boolean {
    const isNamed = (oid: number): boolean => this.noted.has(oid) || this.isGone(oid);
    const vanished = [...this.published.keys()].filter((oid) => !asked.has(oid));
    for (const oid of vanished) this.unpublish(oid);
    for (const oid of [...this.keys.keys()]) if (!asked.has(oid)) this.keys.delete(oid);
    return vanished.some((oid) => !isNamed(oid));
  }

  /** Under this name readers may have rows of a table that does not come any more. */
  goes(name: string, oid: number): void {
    this.waiting.delete(oid);
    this.gone.set(name, oid);
    this.changed();
  }

  /** A table is about to come under this name. @returns whether readers may have rows of another one, or older ones, under it. */
  takeOver(name: string, by: number): boolean {
    this.leave((oid) => oid !== by && this.nameOf(oid) === name);
    return this.gone.has(name);
  }

  /** It was taken, and is not any more. */
  isGone(oid: number): boolean {
    return [...this.gone.values()].includes(oid);
  }

  /** Tables that were taken out of the publication and put back: what was written in between is missing. */
  putBack(membership: Memberships): number[] {
    return [...this.published].flatMap(([oid, before]) => (membership(oid) === before ? [] : [oid]));
  }

  /** Their changes are taken from here on. */
  join(oids: Iterable<number>, membership: Memberships): void {
    for (const oid of oids) {
      const now = membership(oid);
      if (now === null || this.published.get(oid) === now) continue;
      this.published.set(oid, now);
      this.changed();
    }
  }

  /** Its changes are not published any more. */
  unpublish(oid: number): void {
    if (this.published.delete(oid)) this.changed();
  }

  /** Positions tell of it until the notebook does: what is missing then must not be forgotten by an interruption. */
  stray(one: StrayState): void {
    if (!this.strays_.some(({ oid, name }) => oid === one.oid && name === one.name))
      this.strays_ = [...this.strays_, one];
    this.changed();
  }

  get strays(): readonly StrayState[] {
    return this.strays_;
  }

  /** The notebook has it all. */
  written(): void {
    this.strays_ = [];
  }
}
