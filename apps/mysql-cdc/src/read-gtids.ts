import { gtidOf, GtidSet } from './gtid-set.js';
import type { Flavor } from './server.js';

/** What was read or was there before, by GTID, kept as the log tells it. */
export class ReadGtids {
  /** `null`: not known. */
  private set: GtidSet | null;

  /** @param text as a position has it */
  constructor(
    private readonly flavor: Flavor,
    text: string | null,
  ) {
    this.set = text === null ? null : GtidSet.parse(flavor, text);
  }

  /** As a position has it. */
  get text(): string | null {
    return this.set?.toString() ?? null;
  }

  /** @param gtid `null`: a transaction without one, which no other server can be asked for */
  add(gtid: string | null): void {
    if (gtid === null) this.set = null;
    else this.set?.add(gtidOf(this.flavor, gtid));
  }

  /**
   * A file begins with the set of what the log held before it. In MySQL that lacks what came with a copy of another server.
   * In MariaDB a domain that is not in it was deleted, and writers of long ago may be known from elsewhere alone.
   * @param set `null`: it has tags, which are not followed
   */
  fileBegins(set: GtidSet | null): void {
    if (set !== null && this.set !== null && this.flavor === 'mysql') return this.set.addAll(set);
    if (this.set !== null) set?.addEarlier(this.set);
    // A log without any says nothing about what else was committed.
    this.set = set?.empty === true ? null : set;
  }
}
