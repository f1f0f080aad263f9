import {
  StreamError,
  WHOLE,
  type Clock,
  type Held,
  type HelperRow,
  type Share,
  type SpreadLedger,
} from '@planasonix/core';
import type { Attempt } from './attempt.js';
import { HelperSums } from './helper-sums.js';

/** Others may come at the same time; each change of who reads what stops the reading for a moment. */
const GROW_MS = 2_000;

export interface SpreadDeps {
  readonly ledger: SpreadLedger;
  readonly held: Held;
  readonly clock: Clock;
}

/**
 * How a stream's lead shares it with others. Who reads what never changes but with an opening of the log by the lead:
 * it bars all who were seated before, and who is seated afterwards names it (Invariant 3). The lead begins alone, so
 * that whatever is to be decided once (where to begin, a lost position, whether it can run) is decided by one reader;
 * and wherever something goes wrong it goes on alone, meets the failure itself, if it is one, and says so.
 */
export class Spread {
  readonly sums = new HelperSums();
  #rows: readonly HelperRow[] = [];
  /** Who helps with the attempt that runs, in the order of the shares; `planned`: with the next one. */
  #helping: readonly string[] = [];
  #planned: readonly string[] = [];
  /** The opening that they were seated under. */
  #session: string | null = null;
  #exposed = false;
  /** The store may name somebody who has a seat. */
  #given = false;
  /** What was asked for before is of another time. Monotonic. */
  #since = Number.NEGATIVE_INFINITY;
  #heard = false;
  #growsSince: number | null = null;

  constructor(private readonly deps: SpreadDeps) {}

  /** Others may be writing: the log has to be opened anew before it is said that nobody does. */
  get seated(): boolean {
    return this.#exposed;
  }

  /** What the lead's next attempt reads. */
  begin(): Share {
    this.#helping = this.#planned;
    this.#planned = [];
    this.#session = null;
    this.#exposed = false;
    this.#anew();
    return this.#helping.length === 0 ? WHOLE : { index: 0, of: this.#helping.length + 1 };
  }

  /** The lead's attempt is over. */
  over(): void {
    this.sums.over();
  }

  /** @param askedAt monotonic time before they were asked for */
  told(rows: readonly HelperRow[], askedAt: number): void {
    if (askedAt < this.#since) return;
    this.#rows = rows;
    this.#heard = true;
    this.sums.told(rows);
  }

  /** Should somebody else read, or somebody not? Then the attempt that runs is to end, and the next one is as planned. */
  isDue({ begun, session, shares }: Pick<Attempt, 'begun' | 'session' | 'shares'>): boolean {
    if (!this.#heard || !begun || shares === null) return false;
    if (this.#helping.length > 0 && session !== this.#session) return false;
    const here = this.#rows.map(({ workerId }) => workerId);
    const stays = this.#helping.filter((worker) =>
      this.#rows.some(({ workerId, seat }) => workerId === worker && seat?.session === session),
    );
    const wanted = [...stays, ...here.filter((worker) => !stays.includes(worker))].slice(0, shares - 1);
    const gone = this.#helping.some((worker) => !wanted.includes(worker)) || stays.length < this.#helping.length;
    const grows = wanted.length > this.#helping.length;
    const now = this.deps.clock.monotonic();
    this.#growsSince = grows ? (this.#growsSince ?? now) : null;
    const due = gone || (this.#growsSince !== null && now - this.#growsSince >= GROW_MS);
    if (due) this.#planned = wanted;
    return due;
  }

  /** Gives the shares, once the lead's own attempt has opened the log. `fenced`: somebody else is the lead. */
  async seat({ session }: Pick<Attempt, 'session'>): Promise<'seated' | 'fenced' | 'unknown'> {
    const stale = this.#rows.some(({ seat }) => seat !== null && seat.session !== session);
    if (session === null || session === this.#session || (this.#helping.length === 0 && !stale && !this.#given))
      return 'seated';
    const { ledger, held, clock } = this.deps;
    try {
      // From here on somebody may write, whatever becomes of the question.
      this.#exposed ||= this.#helping.length > 0;
      this.#given ||= this.#helping.length > 0;
      this.sums.seated(session, this.#helping, clock.now());
      if (!(await ledger.seat(held, session, this.#helping))) return 'fenced';
      this.#session = session;
      this.#given = this.#helping.length > 0;
      this.#anew();
      return 'seated';
    } catch (error) {
      return error instanceof StreamError && error.recourse === 'fenced' ? 'fenced' : 'unknown';
    }
  }

  /**
   * Nobody helps any more: what those who did have under way to the store is refused from here on.
   * @param session an opening of the log after theirs
   * @returns `false`: somebody else is the lead
   */
  async unseat(session: string): Promise<boolean> {
    if (!this.#given) return true;
    const { ledger, held } = this.deps;
    if (!(await ledger.seat(held, session, []))) return false;
    this.#given = false;
    return true;
  }

  #anew(): void {
    this.#since = this.deps.clock.monotonic();
    this.#rows = [];
    this.#heard = false;
    this.#growsSince = null;
  }
}
