import { createHash } from 'node:crypto';
import {
  retentionFields,
  StreamError,
  type Clock,
  type CounterReport,
  type Lag,
  type Log,
  type StreamSpec,
} from '@planasonix/core';
import type { PgStreamLedger, WorkerStore } from '@planasonix/store';
import type { BudgetKeeper } from './budget-keeper.js';
import { Hosts, type HostLimits } from './hosts.js';
import type { LogBook } from './log-book.js';
import type { Sources } from './sources.js';

const EVERY_MS = 10_000;
const FIRST_MS = 2_000;
const WITHIN_MS = 8_000;
const LIMITS: HostLimits = { hosts: 8, perHost: 4, withinMs: WITHIN_MS - 500, beginMs: 5_000 };

export interface LagProbeDeps {
  readonly workerId: string;
  readonly sources: Pick<Sources, 'type' | 'look'>;
  readonly ledger: Pick<PgStreamLedger, 'resting' | 'spec' | 'positions' | 'probeNumber'>;
  readonly workers: Pick<WorkerStore, 'liveIds'>;
  readonly logs: Pick<LogBook, 'of'>;
  readonly report: (reports: readonly CounterReport[]) => void;
  readonly budgets: Pick<BudgetKeeper, 'giveUp'>;
  readonly clock: Clock;
  readonly log: Log;
}

/** Which of `workers` looks at a stream: the same one at every worker, without asking. */
export function looksAfter(workerId: string, workers: readonly string[], streamId: string): boolean {
  const at = workers.indexOf(workerId);
  return at >= 0 && createHash('sha1').update(streamId).digest().readUInt32BE(0) % workers.length === at;
}

/** Lag of streams that nobody reads (stopped, in error): it grows all the same, so somebody looks each 10 s. */
export class LagProbe {
  private readonly hosts: Hosts;

  constructor(private readonly deps: LagProbeDeps) {
    this.hosts = new Hosts(LIMITS, deps.clock);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.deps;
    // A worker that begins looks soon: whoever looked before may be dead.
    for (let took = EVERY_MS - FIRST_MS; await clock.sleep(Math.max(1_000, EVERY_MS - took), signal);) {
      const began = clock.monotonic();
      await this.round().catch((error: unknown) => log.debug({ err: error }, 'lag could not be looked at'));
      took = clock.monotonic() - began;
    }
  }

  async round(): Promise<void> {
    const { ledger, workers, sources, workerId } = this.deps;
    const [ids, live] = [await ledger.resting(sources.type.type), await workers.liveIds(sources.type.type)];
    const mine = ids.filter((id) => looksAfter(workerId, live, id));
    const specs: StreamSpec[] = [];
    for (const id of mine) {
      const spec = await ledger.spec(id).catch(() => null);
      if (spec !== null) specs.push(spec);
    }
    await this.hosts.round(specs, async (spec) => {
      // A source that can't be reached now: the last commit that is known of goes on ageing.
      const report = await this.look(spec).catch(() => null);
      if (report !== null) this.deps.report([report]);
    });
  }

  private async look(spec: StreamSpec): Promise<CounterReport> {
    const { ledger, logs, sources, clock } = this.deps;
    const positions = await ledger.positions(spec.id);
    let lag: Lag;
    try {
      lag = await sources.look(spec, (source) => source.lag(positions, AbortSignal.timeout(WITHIN_MS)));
    } catch (error) {
      // Nobody reads it, so nobody else would say so: a place that is lost is an error, not a surprise (trap 9).
      if (error instanceof StreamError && error.recourse === 'lost') await this.deps.budgets.giveUp(spec, error);
      throw error;
    }
    // Only now: a log that is down must not keep anybody from looking after the source.
    const totals = await logs.of(spec.output).totals(spec.id);
    return {
      stream_id: spec.id,
      source_type: spec.sourceType,
      epoch: spec.epoch,
      // Beyond every number that the last owner of this epoch has used; no clock, for these jump back.
      sequence: await ledger.probeNumber(),
      at: clock.now(),
      total_events: totals.events,
      total_bytes: totals.bytes,
      errors: 0,
      rejected_events: 0,
      dropped_events: 0,
      latency: [],
      oldest_pending_at: lag.oldestPendingMs,
      lag_proved_at: lag.provedAtMs,
      last_event_at: null,
      backlog_bytes: lag.backlogBytes,
      backlog_records: lag.backlogRecords ?? null,
      ...retentionFields(lag),
    };
  }
}
