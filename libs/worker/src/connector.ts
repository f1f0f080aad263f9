import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { PATTERNS, systemClock, type CounterReport, type Log, type SourceType } from '@planasonix/core';
import { WorkerHost } from '@planasonix/engine';
import { consumeQueues, type QueueConsumer } from '@planasonix/lifecycle';
import { createOutbound, endpointOf } from '@planasonix/outbound';
import { countersEmitter, crashPoints, type Emitter } from '@planasonix/service';
import {
  ConnectionStore,
  DraftStore,
  ForgottenStore,
  NeighbourStore,
  PgSpreadLedger,
  PgStreamLedger,
  SecretBox,
  WorkerStore,
  type Announcement,
} from '@planasonix/store';
import type { DataSource } from 'typeorm';
import { Answers } from './answers.js';
import { BudgetKeeper } from './budget-keeper.js';
import type { WorkerEnv } from './env.js';
import { Janitor } from './janitor.js';
import { LagProbe } from './lag-probe.js';
import { LogBook } from './log-book.js';
import { Neighbourhood } from './neighbourhood.js';
import { Sources } from './sources.js';

const HEARTBEAT_MS = 2000;
/** What is being read gets this long to land at SIGTERM (trap 38). */
const DRAIN_MS = 8000;

/** One connector process: the worker host of its type, and everything around it that talks to the rest of the system. */
export class Connector {
  readonly workerId = `${hostname()}-${process.pid}-${randomBytes(4).toString('hex')}`;
  readonly host: WorkerHost;
  private readonly stopping = new AbortController();
  private readonly logs: LogBook;
  private readonly emitter: Emitter;
  private readonly workers: WorkerStore;
  private readonly beats: WorkerStore;
  /** The gateway knows this source type from here on. */
  announced = false;
  private readonly announcement: Announcement;
  private readonly answers: Answers;
  private readonly background: readonly { run(signal: AbortSignal): Promise<void> }[];
  private queues: QueueConsumer | null = null;

  constructor(
    type: SourceType,
    private readonly env: WorkerEnv,
    store: DataSource,
    leases: DataSource,
    private readonly log: Log,
  ) {
    const step = crashPoints(env.CRASH_FILE);
    const box = new SecretBox(env.ENCRYPTION_KEY, env.ENCRYPTION_KEYS_OLD);
    const ledger = new PgStreamLedger(store, box, leases);
    const outbound = createOutbound({
      policy: env.OUTBOUND_POLICY,
      reserved: [endpointOf(env.DATABASE_URL), endpointOf(env.REDIS_URL)],
    });
    this.workers = new WorkerStore(store);
    this.beats = new WorkerStore(leases);
    const connections = new ConnectionStore(store, box);
    this.logs = new LogBook({
      redisUrl: env.REDIS_URL,
      kafka: { settings: (id) => connections.settingsOf(id), outbound, log },
    });
    const rows = new NeighbourStore(store);
    const sources = new Sources(type, outbound, log, step, {
      logs: this.logs,
      neighbourhood: new Neighbourhood(type.type, rows, connections),
      sharers: (of) => rows.sharers(type.type, of),
    });
    this.emitter = countersEmitter(env, log);
    this.announcement = {
      id: this.workerId,
      sourceType: type.type,
      connectionTypes: type.connectionTypes,
      configSchema: type.configSchema,
      host: hostname(),
      pid: process.pid,
    };
    const report = (reports: readonly CounterReport[]): void => void this.emitter.emit(PATTERNS.counters, reports);
    this.host = new WorkerHost({
      workerId: this.workerId,
      sourceType: type.type,
      ledger,
      spread: type.spreads === true ? new PgSpreadLedger(store, leases) : undefined,
      openSink: (spec, seat) => this.logs.of(spec.output).sink(spec.id, spec.epoch, seat),
      checkLog: (spec) => this.logs.of(spec.output).check(spec.id),
      createSource: (spec, wishes) => sources.owned(spec, wishes),
      clock: systemClock,
      log,
      reportCounters: report,
      capacity: env.CAPACITY,
      step,
    });
    this.answers = new Answers({
      sources,
      ledger,
      connections,
      drafts: new DraftStore(store, box),
      logs: this.logs,
    });
    this.background = [
      new LagProbe({
        workerId: this.workerId,
        sources,
        ledger,
        workers: this.workers,
        budgets: new BudgetKeeper(this.workerId, ledger, sources, systemClock, log, step),
        logs: this.logs,
        report,
        clock: systemClock,
        log,
      }),
      new Janitor(new ForgottenStore(store, box), sources, systemClock, log),
    ];
  }

  async start(): Promise<void> {
    await this.workers.announce(this.announcement);
    this.announced = true;
    this.host.start();
    this.queues = consumeQueues(this.env.REDIS_URL, this.announcement.sourceType, {
      look: (job) => this.host.look(job.streamId),
      answer: (job, leftMs) => this.answers.answer(job, leftMs),
    });
    void this.heartbeat();
    for (const one of this.background) void one.run(this.stopping.signal);
  }

  /** The owner is told that its row has changed; everybody else has nothing to do with it. */
  async nudged(streamId: string): Promise<void> {
    if (this.host.isHeld(streamId)) await this.host.look(streamId);
  }

  /** Stop reading, let what was read land, commit, acknowledge, give the leases back. */
  async stop(): Promise<void> {
    if (this.stopping.signal.aborted) return;
    this.stopping.abort();
    await Promise.allSettled([this.queues?.close(), this.host.stop(DRAIN_MS)]);
    await this.workers.forget(this.workerId).catch(() => undefined);
    await Promise.allSettled([this.logs.close(), this.emitter.close()]);
  }

  private async heartbeat(): Promise<void> {
    // None waits for the last one: one query without an answer must not make the worker look dead.
    while (await systemClock.sleep(HEARTBEAT_MS, this.stopping.signal))
      void this.beats
        .heartbeat(this.announcement)
        .catch((error: unknown) => this.log.debug({ err: error }, 'the store did not hear that this worker lives'));
  }
}
