import {
  StreamError,
  type Held,
  type Owned,
  type Positions,
  type SetAside,
  type SnapshotOrders,
  type StatusReport,
  type StreamSpec,
} from '@planasonix/core';
import type { Attempt } from './attempt.js';
import type { Counters } from './counters.js';
import type { EngineDeps, SourceExtras } from './deps.js';

const SHOW_MS = 1_000;
/** So long a source has been read from before its last failure is over, where nothing comes that would prove it sooner. */
const STEADY_MS = 5_000;

const takenOver = (): StreamError => new StreamError('fenced', 'Another worker has taken over this stream');

/** One stream's row, as its holder reads it and writes it: nothing once the lease may be gone (Invariant 3). */
export class HeldRow {
  /** What was told last, or is being told. */
  #telling: Promise<unknown> = Promise.resolve();
  #shown = { blocked: 'null', snapshot: 'null', shares: -1 };
  /** The row tells of a failure. */
  #ails = false;

  /** Orders for rows of this stream. Closing one is fenced like every write. */
  readonly orders: SnapshotOrders = {
    open: () => this.#asked("Orders can't be read from the store", this.engine.ledger.openOrders(this.held.streamId)),
    done: () => this.#asked("Orders can't be read from the store", this.engine.ledger.doneOrders(this.held.streamId)),
    close: async (id, outcome) => {
      if (!this.mayWrite()) throw takenOver();
      const closed = this.engine.ledger.closeOrder(this.held, id, outcome);
      if (!(await this.#asked("The end of an order can't be written to the store", closed))) throw takenOver();
    },
  };

  constructor(
    private readonly engine: EngineDeps,
    private readonly held: Held,
    private readonly mayWrite: () => boolean,
  ) {}

  /** For a source of this stream. */
  extras({ owned, onLostPosition }: Pick<StreamSpec, 'owned' | 'onLostPosition'>, counters: Counters): SourceExtras {
    return {
      ...{ owned, onLostPosition, orders: this.orders },
      remember: (more) => this.remember(more),
      abandoned: () => this.positions(),
      setAside: async (records) => counters.rejected(await this.setAside(records)),
    };
  }

  /** With `generation`, only if the row still has it. One at a time, in order: none lands behind a later one. `unknown`: the store did not say. */
  tell(report: StatusReport, generation?: number): Promise<'written' | 'superseded' | 'fenced' | 'unknown'> {
    const told = this.#telling.then(() => this.#tell(report, generation));
    this.#telling = told;
    return told;
  }

  async #tell(report: StatusReport, generation?: number): Promise<'written' | 'superseded' | 'fenced' | 'unknown'> {
    if (!this.mayWrite()) return 'fenced'; // Invariant 3
    try {
      const answer = await this.engine.ledger.report(this.held, report, generation);
      if (answer === 'written' && report.lastError !== undefined) this.#ails = report.lastError !== null;
      return answer;
    } catch (error) {
      if (error instanceof StreamError && error.recourse === 'fenced') return 'fenced';
      this.engine.log.warn({ streamId: this.held.streamId, err: error }, 'a status could not be written');
      return 'unknown';
    }
  }

  /** What the stream has made at its source. @throws StreamError `fenced`, `store_unavailable` */
  async remember(owned: Owned): Promise<void> {
    const noted = this.engine.ledger.remember(this.held, owned);
    if (!(await this.#asked("What the stream makes at its source can't be written to the store", noted)))
      throw takenOver();
  }

  /** Records that are no events. @returns how many were not known before. @throws StreamError `fenced`, `store_unavailable` */
  async setAside(records: readonly SetAside[]): Promise<number> {
    if (!this.mayWrite()) throw takenOver();
    const kept = this.engine.ledger.setAside(this.held, records);
    const fresh = await this.#asked("Records that are no events can't be written to the store", kept);
    if (fresh === null) throw takenOver(); // Invariant 3
    return fresh;
  }

  /** Those that are committed. @throws StreamError `store_unavailable` */
  positions(): Promise<Positions> {
    return this.#asked("The positions can't be read from the store", this.engine.ledger.positions(this.held.streamId));
  }

  /** The store's failures are told as its own: a source that asks would take them for its server's. */
  async #asked<T>(failed: string, asking: Promise<T>): Promise<T> {
    try {
      return await asking;
    } catch (error) {
      if (error instanceof StreamError) throw error;
      this.engine.log.warn({ streamId: this.held.streamId, err: error }, 'the store could not be asked');
      throw new StreamError('store_unavailable', failed, { cause: error });
    }
  }

  /** As it is now; `null`: the store does not answer, or the stream is gone, and then the lease soon is as well. */
  async read(): Promise<StreamSpec | null> {
    try {
      return await this.engine.ledger.spec(this.held.streamId);
    } catch (error) {
      this.engine.log.warn({ streamId: this.held.streamId, err: error }, 'a stream could not be read anew');
      return null;
    }
  }

  /**
   * Shows progress and what it waits for, and that a failure is over, each second, when that changes; until `signal` is aborted.
   * @param alsoBlocked what those who help with the stream wait for
   */
  async show(
    current: () => Attempt | null,
    alsoBlocked: () => { readonly reason: string } | null,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock } = this.engine;
    const steady = { of: null as Attempt | null, since: 0 };
    while (await clock.sleep(SHOW_MS, signal)) {
      const attempt = current();
      if (!attempt || attempt.end) continue;
      const of = attempt.connected ? attempt : null;
      if (of !== steady.of) Object.assign(steady, { of, since: clock.monotonic() });
      const isOver = of !== null && (of.progressed || clock.monotonic() - steady.since >= STEADY_MS);
      const [blocked, snapshot] = [attempt.blocked ?? alsoBlocked(), attempt.snapshot()];
      const shares = attempt.shares ?? this.#shown.shares;
      const now = { blocked: JSON.stringify(blocked), snapshot: JSON.stringify(snapshot), shares };
      const report: StatusReport = {
        ...(now.blocked === this.#shown.blocked ? {} : { blocked }),
        ...(snapshot === null || now.snapshot === this.#shown.snapshot ? {} : { snapshot }),
        ...(now.shares === this.#shown.shares ? {} : { shares }),
        ...(this.#ails && isOver ? { lastError: null } : {}),
      };
      if (Object.keys(report).length > 0 && (await this.tell(report)) === 'written') this.#shown = now;
    }
  }
}
