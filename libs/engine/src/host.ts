import type { CounterReport, LeaseView } from '@planasonix/core';
import type { EngineDeps, ReportCounters } from './deps.js';
import { Helpers } from './helpers.js';
import { holds, holdsUntil, LEASE } from './lease.js';
import { Openings } from './openings.js';
import type { RunnerEnd } from './runner-deps.js';
import { StreamRunner } from './runner.js';
import { within } from './within.js';

export interface WorkerHostOptions extends EngineDeps {
  readonly workerId: string;
  readonly sourceType: string;
  readonly reportCounters: ReportCounters;
  /** Streams held at once; 100 by default. Invariant 6. */
  readonly capacity?: number;
}

export interface HostHealth {
  readonly held: number;
  readonly capacity: number;
  /** The store has answered within the life of a lease. */
  readonly ok: boolean;
}

interface Tenant {
  readonly runner: StreamRunner;
  /** `until`: monotonic time until which it may write. `lapsed`: it was given up for that; no late answer brings it back. */
  readonly lease: { until: number; lapsed: boolean };
}

const RECONCILE_MS = 2_000;
const COUNT_MS = 1_000;
/** How often it looks who helps with its streams. */
const HEAR_MS = 1_000;
/** How often it looks whether a lease has run out. */
const WATCH_MS = 250;
/** Streams taken up at once: each opens connections. Invariant 6. */
const OPENINGS_AT_ONCE = 8;
/** An opening that takes longer, as at a dead host, does not keep the next one waiting. */
const OPENING_MS = 2_000;

/** All streams of one source type that this worker holds: takes leases, keeps them, gives them up in time. */
export class WorkerHost {
  readonly #tenants = new Map<string, Tenant>();
  readonly #claiming = new Set<string>();
  readonly #lookAgain = new Set<string>();
  readonly #stopping = new AbortController();
  readonly #openings = new Openings(OPENINGS_AT_ONCE, (streamId) => this.#open(streamId));
  /** Lost because they could not be renewed in time: taken up before any other. */
  readonly #lapsed = new Set<string>();
  /** Absent: sources of this type are read by one worker each. */
  readonly #helpers: Helpers | null;
  readonly #capacity: number;
  #storeAt: number;
  #renewals = 0;

  constructor(private readonly options: WorkerHostOptions) {
    this.#capacity = options.capacity ?? 100;
    this.#storeAt = options.clock.monotonic();
    const { spread } = options;
    const free = (): number => this.#capacity - this.#tenants.size - (this.#helpers?.count ?? 0);
    const leads = (streamId: string): boolean => this.#tenants.has(streamId) || this.#claiming.has(streamId);
    this.#helpers = spread === undefined ? null : new Helpers({ ...options, spread, free, leads });
  }

  start(): void {
    void this.#every(RECONCILE_MS, () => this.#reconcile());
    void this.#keepLeases();
    void this.#every(COUNT_MS, () => this.#count());
    void this.#every(WATCH_MS, () => this.#giveUpLapsed());
    if (this.#helpers) void this.#every(HEAR_MS, () => this.#hear());
    this.#helpers?.start(this.#stopping.signal);
  }

  /** A command rang: look at this row now. Resolves when looked; what follows from it goes on by itself. */
  async look(streamId: string): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    const tenant = this.#tenants.get(streamId);
    if (tenant) await this.#renew(new Map([[streamId, tenant]]));
    else if (this.#claiming.has(streamId)) this.#lookAgain.add(streamId);
    else await this.#claim(streamId);
  }

  #lookSoon(streamId: string): void {
    this.look(streamId).catch((error: unknown) =>
      this.options.log.warn({ streamId, err: error }, 'a stream could not be looked at; the next renewal does'),
    );
  }

  isHeld(streamId: string): boolean {
    return this.#tenants.has(streamId);
  }

  /** What was read lands, positions are committed, leases are given back: within `deadlineMs`. */
  async stop(deadlineMs: number): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort();
    const tenants = [...this.#tenants.values()];
    const drainMs = Math.max(0, deadlineMs - 2_000);
    const all = Promise.all([...tenants.map(({ runner }) => runner.release(drainMs)), this.#helpers?.stop(drainMs)]);
    const timer = new AbortController();
    // The leases are not kept up any more: a runner that is late finds its own run out.
    await Promise.race([all, this.options.clock.sleep(deadlineMs, timer.signal)]);
    timer.abort();
  }

  health(): HostHealth {
    const age = this.options.clock.monotonic() - this.#storeAt;
    return { held: this.#tenants.size, capacity: this.#capacity, ok: age < LEASE.durationMs };
  }

  async #every(ms: number, work: () => void | Promise<void>): Promise<void> {
    const { clock, log } = this.options;
    do {
      try {
        await work();
      } catch (error) {
        log.warn({ err: error }, 'the worker could not look after its streams; it tries again');
      }
    } while (await clock.sleep(ms, this.#stopping.signal));
  }

  async #reconcile(): Promise<void> {
    const free = this.#capacity - this.#tenants.size - this.#claiming.size;
    if (free <= 0) return;
    const { clock, ledger, sourceType } = this.options;
    const ids = await ledger.orphans(sourceType, free);
    this.#storeAt = clock.monotonic();
    this.#openings.offer([...new Set([...this.#lapsed, ...ids])]);
  }

  /** Resolves when the stream is read from, or has failed, or takes too long. */
  async #open(streamId: string): Promise<void> {
    try {
      await this.#claim(streamId);
      const opened = this.#tenants.get(streamId)?.runner.opened;
      if (opened) await within(this.options.clock, OPENING_MS, opened);
    } catch (error) {
      this.options.log.warn({ streamId, err: error }, 'a stream could not be taken up');
    }
  }

  async #claim(streamId: string): Promise<void> {
    if (this.#tenants.has(streamId) || this.#claiming.has(streamId) || this.#stopping.signal.aborted) return;
    if (this.#tenants.size + this.#claiming.size >= this.#capacity) return;
    const { clock, ledger, workerId, sourceType, log } = this.options;
    this.#claiming.add(streamId);
    this.#lapsed.delete(streamId);
    try {
      const askedAt = clock.monotonic();
      const spec = await ledger.claim(workerId, streamId);
      if (!spec) return;
      this.options.step?.('lease-claimed');
      if (this.#stopping.signal.aborted || spec.sourceType !== sourceType) {
        await ledger.report({ streamId, epoch: spec.epoch }, { releaseLease: true });
        return;
      }
      await this.#helpers?.leave(streamId);
      log.info({ streamId, epoch: spec.epoch }, 'stream taken up');
      const lease = { until: holdsUntil(askedAt), lapsed: false };
      const runner = new StreamRunner({
        engine: this.options,
        spec,
        mayWrite: () => !lease.lapsed && holds(lease.until, clock.monotonic()),
        refresh: () => this.#lookSoon(streamId),
      });
      const tenant: Tenant = { runner, lease };
      this.#tenants.set(streamId, tenant);
      void tenant.runner.done.then((end) => this.#left(streamId, tenant, end));
    } finally {
      this.#claiming.delete(streamId);
      // A command that came between: the row was perhaps read before it.
      if (this.#lookAgain.delete(streamId) && this.#tenants.has(streamId)) this.#lookSoon(streamId);
    }
  }

  #left(streamId: string, tenant: Tenant, end: RunnerEnd): void {
    this.options.log.info({ streamId, epoch: tenant.runner.held.epoch, end }, 'stream let go');
    this.#report([tenant]);
    if (this.#tenants.get(streamId) === tenant) this.#tenants.delete(streamId);
    if (end === 'lost') this.#giveBack(tenant);
    // A start that came while it was ending finds nobody else to hear of it.
    if (end !== 'lost' && end !== 'broken' && !this.#stopping.signal.aborted)
      void this.#claim(streamId).catch(() => undefined);
  }

  /**
   * A lease that was not renewed in time may stand in the row all the same, where the answer was lost and not the
   * question; and where it was the log alone that barred us, it does. By its epoch, this changes nothing for a successor (Invariant 3).
   */
  #giveBack({ runner }: Tenant): void {
    this.#lapsed.add(runner.held.streamId);
    this.options.ledger.report(runner.held, { releaseLease: true }).catch(() => undefined);
  }

  /** No lease depends on one query: where one has no answer, the next is sent while there is time left. */
  async #keepLeases(): Promise<void> {
    const { clock } = this.options;
    let wait: number = LEASE.renewEveryMs;
    while (await clock.sleep(wait, this.#stopping.signal)) {
      const renewed = this.#renewals < LEASE.underWay && (await within(clock, LEASE.answerWithinMs, this.#renewAll()));
      wait = renewed === true ? LEASE.renewEveryMs : LEASE.retryEveryMs;
    }
  }

  async #renewAll(): Promise<boolean> {
    this.#renewals++;
    try {
      await this.#renew(this.#tenants);
      return true;
    } catch (error) {
      this.options.log.warn({ err: error }, 'leases could not be renewed; trying again');
      return false;
    } finally {
      this.#renewals--;
    }
  }

  async #renew(tenants: ReadonlyMap<string, Tenant>): Promise<void> {
    if (tenants.size === 0) return;
    const { clock, ledger, workerId } = this.options;
    const asked = [...tenants];
    const askedAt = clock.monotonic();
    const views: ReadonlyMap<string, LeaseView | 'busy'> = await ledger.renew(
      workerId,
      asked.map(([, { runner }]) => runner.held),
    );
    this.#storeAt = clock.monotonic();
    for (const [streamId, tenant] of asked) {
      const view = views.get(streamId);
      if (!view)
        void tenant.runner.abandon(); // Invariant 3
      else if (view === 'busy') this.#lookSoon(streamId);
      else {
        tenant.lease.until = Math.max(tenant.lease.until, holdsUntil(askedAt));
        tenant.runner.apply(view);
      }
    }
  }

  /** Whoever could not renew stops before the lease ends; whoever was frozen finds out here, or at the next write. Trap 27 */
  #giveUpLapsed(): void {
    const now = this.options.clock.monotonic();
    for (const { runner, lease } of this.#tenants.values()) {
      lease.lapsed ||= !holds(lease.until, now);
      if (lease.lapsed) void runner.abandon();
    }
  }

  /** Who helps with the streams of this worker, and would. */
  async #hear(): Promise<void> {
    const { clock, spread, workerId } = this.options;
    if (!spread || this.#tenants.size === 0) return;
    const askedAt = clock.monotonic();
    const rows = await spread.helpers(workerId);
    for (const [streamId, { runner }] of this.#tenants) runner.helped(rows.get(streamId) ?? [], askedAt);
  }

  #count(): void {
    this.#report([...this.#tenants.values()]);
  }

  #report(tenants: readonly Tenant[]): void {
    const now = this.options.clock.now();
    const reports: CounterReport[] = [];
    for (const { runner } of tenants) {
      const report = runner.report(now);
      if (report) reports.push(report);
    }
    if (reports.length > 0) this.options.reportCounters(reports);
  }
}
