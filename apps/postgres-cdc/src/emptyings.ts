import type { EmptyingState } from './rows/rows-state.js';
import { VisibleTransactions } from './rows/visibility.js';

/**
 * What the stream has said of tables with partitions that were emptied: positions say it too, until the notebook has the
 * files that came of it. Which ones those are no XID tells: in a savepoint they are written by another than the stream names.
 */
export class Emptyings {
  /** Their files may not have been looked at yet. */
  private said: readonly EmptyingState[] = [];
  /** Their files are known, and not noted yet. */
  private known: readonly EmptyingState[] = [];

  /** What has to be kept. */
  get state(): readonly EmptyingState[] {
    return [...this.said, ...this.known];
  }

  /** A transaction, by its XID of 32 bits, has emptied a table. */
  say(oid: number, xid: number): void {
    if (!this.said.some((one) => one.oid === oid && one.xid === xid)) this.said = [...this.said, { oid, xid }];
  }

  /** New files of this table may be those of an emptying. */
  of(oid: number): boolean {
    return this.said.some((one) => one.oid === oid);
  }

  /** Files have been looked at. @param held `pg_current_snapshot()` of that look. @param but tables whose files are not known for sure */
  looked(held: string, but: ReadonlySet<number>): void {
    const snapshot = new VisibleTransactions(held);
    const over = this.said.filter(({ oid, xid }) => !but.has(oid) && snapshot.sees(xid));
    this.said = this.said.filter((one) => !over.includes(one));
    this.known = [...this.known, ...over];
  }

  /** The notebook has what was looked at. */
  noted(): void {
    this.known = [];
  }
}
