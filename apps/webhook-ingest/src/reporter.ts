import type { Clock, CounterReport, InletTotals, Log } from '@planasonix/core';
import type { ServedStream, WorkerStore } from '@planasonix/store';
import { looksAfter } from '@planasonix/worker';
import type { Directory } from './directory.js';
import type { Inlets } from './inlets.js';
import { Tally } from './tally.js';

const EVERY_MS = 1_000;
/** A stream without deliveries is reported by one instance, so that its lag stays proved. */
const IDLE_EVERY = 10;

export interface ReporterDeps {
  readonly instance: string;
  readonly sourceType: string;
  readonly directory: Directory;
  readonly inlets: Inlets;
  readonly workers: Pick<WorkerStore, 'liveIds'>;
  readonly report: (reports: readonly CounterReport[]) => void;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Counts of all instances, added up in the log's Redis, and told to the aggregator as totals. Each report of a stream has
 * the next number, whoever makes it: late and repeated ones change nothing (trap 37).
 */
export class Reporter {
  readonly #tallies = new Map<string, Tally>();

  constructor(private readonly deps: ReporterDeps) {}

  of({ id }: { readonly id: string }): Tally {
    let tally = this.#tallies.get(id);
    if (tally === undefined) this.#tallies.set(id, (tally = new Tally()));
    return tally;
  }

  async run(signal: AbortSignal): Promise<void> {
    for (let round = 0; await this.deps.clock.sleep(EVERY_MS, signal); round++)
      await this.round(round % IDLE_EVERY === 0).catch((error: unknown) =>
        this.deps.log.debug({ err: error }, 'counts could not be reported'),
      );
  }

  /** @param idle also streams that this instance has counted nothing of. */
  async round(idle: boolean): Promise<void> {
    const { directory, workers, sourceType, instance } = this.deps;
    const live = idle ? await workers.liveIds(sourceType).catch(() => []) : [];
    const reports: CounterReport[] = [];
    await Promise.all(
      directory.rows().map(async (row) => {
        const tally = this.of(row);
        const mine = idle && row.epoch > 0 && directory.byId(row.id) !== null && looksAfter(instance, live, row.id);
        // Of one that was never started there is nothing but notes to tell.
        if (!mine && (row.epoch === 0 ? !tally.hasNotes : tally.isEmpty)) return;
        const totals = await this.#tell(row, tally).catch(() => null);
        if (totals !== null) reports.push(this.#reportOf(row, totals));
      }),
    );
    for (const id of this.#tallies.keys()) if (!directory.has(id)) this.#tallies.delete(id);
    if (reports.length > 0) this.deps.report(reports);
  }

  async #tell({ id, epoch, output }: ServedStream, tally: Tally): Promise<InletTotals | null> {
    const taken = tally.take();
    const { counts, answers, failures } = taken;
    const { oldestPendingAt } = tally;
    try {
      const totals = await this.deps.inlets
        .of(output)
        .report({ streamId: id, epoch, counts, oldestPendingAt, answers, failures });
      if (totals === null) tally.putCountsBack(counts);
      return totals;
    } catch (error) {
      tally.putBack(taken);
      throw error;
    }
  }

  #reportOf({ id, epoch }: ServedStream, totals: InletTotals): CounterReport {
    const now = this.deps.clock.now();
    return {
      stream_id: id,
      source_type: this.deps.sourceType,
      epoch,
      sequence: totals.sequence,
      at: now,
      total_events: totals.events,
      total_bytes: totals.bytes,
      errors: totals.errors,
      rejected_events: totals.rejected,
      dropped_events: totals.dropped,
      latency: totals.latency,
      oldest_pending_at: totals.oldestPendingAt,
      lag_proved_at: now,
      last_event_at: totals.lastEventAt,
      backlog_bytes: null,
    };
  }
}
