import type { Clock, Log, ReleaseReport, Steps, StreamError, StreamSpec } from '@planasonix/core';
import type { PgStreamLedger } from '@planasonix/store';
import type { Sources } from './sources.js';

/** Well within the life of the lease that `condemn` gives. */
const WITHIN_MS = 10_000;

const NOTHING: ReleaseReport = { released: [], remaining: [] };

/**
 * Says so when the place of a stream that nobody reads is lost, and gives up what it holds at its source beyond its
 * budget. The row says so first and the slot goes second: whoever dies in between leaves a stream in `error` whose slot the next look finds, never a slot that
 * went without a word (Invariant 2). Meanwhile the lease keeps everybody else out (Invariant 3).
 */
export class BudgetKeeper {
  constructor(
    private readonly workerId: string,
    private readonly ledger: Pick<PgStreamLedger, 'condemn' | 'report'>,
    private readonly sources: Sources,
    private readonly clock: Clock,
    private readonly log: Log,
    private readonly step?: Steps,
  ) {}

  async giveUp(spec: StreamSpec, why: StreamError): Promise<void> {
    const { code, message, hint } = why;
    const occurred_at = new Date(this.clock.now()).toISOString();
    const gives = code === 'wal_budget_exceeded';
    const held = await this.ledger.condemn(this.workerId, spec, { code, message, hint, occurred_at }, gives);
    if (held === null) return;
    this.step?.('condemned');
    if (!gives) return void (await this.ledger.report(held, { releaseLease: true }));
    const about = { streamId: spec.id, code };
    try {
      const within = AbortSignal.timeout(WITHIN_MS);
      const report = await this.sources.look(spec, (source) => source.letGo?.(within) ?? Promise.resolve(NOTHING));
      this.step?.('let-go');
      if (report.remaining.length > 0)
        this.log.warn({ ...about, remaining: report.remaining }, 'what is over its budget could not be given up yet');
      else this.log.warn({ ...about, released: report.released }, 'a stream over its budget has given up its place');
    } catch (error) {
      this.log.warn({ ...about, err: error }, 'what is over its budget could not be given up yet');
    } finally {
      await this.ledger.report(held, { releaseLease: true });
    }
  }
}
