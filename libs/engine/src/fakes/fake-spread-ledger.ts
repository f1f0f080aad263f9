import {
  StreamError,
  type Clock,
  type Held,
  type HelperReport,
  type HelperRow,
  type HelperView,
  type SpreadLedger,
} from '@planasonix/core';
import type { FakeLedger } from './fake-ledger.js';

interface Helping {
  readonly workerId: string;
  until: number;
  epoch: number;
  share: { index: number; of: number } | null;
  session: string;
  report: HelperReport | null;
}

/** Who helps whom, in memory, beside the truth about the streams. */
export class FakeSpreadLedger implements SpreadLedger {
  readonly rows = new Map<string, Helping[]>();
  /** Workers whose questions get no answer. */
  readonly cutOff = new Set<string>();

  constructor(
    private readonly clock: Clock,
    private readonly ledger: FakeLedger,
  ) {
    ledger.seatHolds = ({ streamId, seat }) =>
      seat === undefined ||
      this.#live(streamId).some(({ share, session }) => share?.index === seat.index && session === seat.session);
  }

  async helpers(workerId: string): Promise<ReadonlyMap<string, readonly HelperRow[]>> {
    await this.#answer(workerId);
    const found = new Map<string, HelperRow[]>();
    for (const [id, row] of this.ledger.rows)
      if (row.owner === workerId)
        found.set(
          id,
          this.#live(id).map(({ workerId: helper, share, session, epoch, report }) => ({
            workerId: helper,
            seat: share !== null && epoch === row.epoch ? { index: share.index, session } : null,
            report,
          })),
        );
    return found;
  }

  async seat({ streamId, epoch }: Held, session: string, workers: readonly string[]): Promise<boolean> {
    await Promise.resolve();
    if (this.ledger.row(streamId).epoch !== epoch) return false;
    for (const row of this.#live(streamId)) {
      const index = workers.indexOf(row.workerId) + 1;
      Object.assign(row, { epoch, session, report: null });
      row.share = index === 0 ? null : { index, of: workers.length + 1 };
    }
    return true;
  }

  async openings(workerId: string): Promise<readonly string[]> {
    await this.#answer(workerId);
    return [...this.ledger.rows.keys()].filter((id) => this.#isOpen(workerId, id));
  }

  async join(workerId: string, streamId: string): Promise<boolean> {
    await this.#answer(workerId);
    if (!this.#isOpen(workerId, streamId)) return false;
    const row = { workerId, until: this.clock.monotonic() + 9_000, epoch: 0, share: null, session: '', report: null };
    this.rows.set(streamId, [...this.#live(streamId), row]);
    return true;
  }

  async keep(
    workerId: string,
    reports: ReadonlyMap<string, HelperReport | null>,
  ): Promise<ReadonlyMap<string, HelperView>> {
    await this.#answer(workerId);
    const views = new Map<string, HelperView>();
    for (const [id, report] of reports) {
      const { epoch, status, desired } = this.ledger.row(id);
      const row = this.#live(id).find((one) => one.workerId === workerId);
      if (!row || status !== 'running' || desired !== 'running') continue;
      row.until = this.clock.monotonic() + 9_000;
      row.report = report ?? row.report;
      const { share, session } = row;
      views.set(id, { epoch, seated: share !== null && row.epoch === epoch ? { share, session } : null });
    }
    return views;
  }

  async leave(workerId: string, streamId: string): Promise<void> {
    await this.#answer(workerId);
    this.rows.set(
      streamId,
      this.#live(streamId).filter((row) => row.workerId !== workerId),
    );
  }

  #live(streamId: string): Helping[] {
    return (this.rows.get(streamId) ?? []).filter(({ until }) => until > this.clock.monotonic());
  }

  #isOpen(workerId: string, id: string): boolean {
    const { owner, leaseUntil, shares, status, desired } = this.ledger.row(id);
    const live = this.#live(id);
    const led = owner !== null && owner !== workerId && leaseUntil > this.clock.monotonic();
    const runs = status === 'running' && desired === 'running';
    return led && runs && shares > live.length + 1 && !live.some((row) => row.workerId === workerId);
  }

  async #answer(workerId: string): Promise<void> {
    await Promise.resolve();
    if (this.cutOff.has(workerId)) throw new StreamError('store_unavailable', 'no answer');
  }
}
