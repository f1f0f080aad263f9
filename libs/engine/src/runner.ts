import {
  Bell,
  type CounterReport,
  type Held,
  type HelperRow,
  type LeaseView,
  type Owned,
  type StatusReport,
  type StreamSpec,
} from '@planasonix/core';
import { Attempt } from './attempt.js';
import { Attempts } from './attempts.js';
import { backoffMs } from './backoff.js';
import { Counters } from './counters.js';
import { Failures, lastError, type Failure } from './failure.js';
import { HeldRow } from './held-row.js';
import type { RunnerDeps, RunnerEnd } from './runner-deps.js';

/** Times that a command may take, all within the 5 s that the gateway waits. Milliseconds. */
const DRAIN = { stop: 2_000, pause: 2_000, share: 2_000 } as const;
const REPORT_RETRY_MS = 500;

/**
 * Makes one stream what its row says it should be, for as long as the lease holds. Level-triggered: each step compares
 * what is wanted with what is, and does one thing about it; so a lost, repeated or overtaken command does no harm.
 */
export class StreamRunner {
  readonly counters: Counters;
  readonly done: Promise<RunnerEnd>;
  /** It has said a status, or an attempt has failed, or it is over. */
  readonly opened: Promise<void>;
  #sayOpened: () => void = () => undefined;
  readonly #held: Held;
  readonly #bell = new Bell();
  readonly #over = new AbortController();
  readonly #row: HeldRow;
  readonly #attempts: Attempts;
  #want: LeaseView;
  /** Of the wish that this step carries out: what it says is said of that one, whatever was wished meanwhile. */
  #acting = 0;
  /** As claimed: good for the first attempt, if nothing was wished since; each further one asks the row. */
  #claimed: StreamSpec | null;
  /** Of the config that the attempt was made with. */
  #configRevision: number;
  /** The newest that the source was told of; it looks for itself when it begins. */
  #ordersSeen = 0;
  #owned: Owned;
  #onLost: StreamSpec['onLostPosition'];
  /** The last failure that is still to be acted upon. */
  #failure: Failure | null = null;
  readonly #failures = new Failures();
  #retryAt = 0;
  /** It has connected once for this generation: no preflight from here on, and retries keep it `running`. */
  #connectedOnce = false;
  #confirmed: { readonly generation: number; readonly status: string } | null = null;
  #halt: { readonly kind: 'release'; readonly withinMs: number } | { readonly kind: 'abandon' } | null = null;

  constructor(private readonly deps: RunnerDeps) {
    const { id: streamId, sourceType, epoch, generation, desired, configRevision } = deps.spec;
    this.#held = { streamId, epoch };
    this.#want = { generation, desired, configRevision, ordersRevision: 0 };
    this.#claimed = deps.spec;
    this.#configRevision = configRevision;
    this.#owned = deps.spec.owned;
    this.#onLost = deps.spec.onLostPosition;
    this.counters = new Counters(streamId, sourceType, epoch);
    this.opened = new Promise((resolve) => (this.#sayOpened = resolve));
    this.#row = new HeldRow(deps.engine, this.#held, () => deps.mayWrite());
    this.#attempts = new Attempts(deps.engine, this.#held, () => deps.mayWrite());
    this.done = this.#main();
    void this.#row.show(
      () => this.#attempts.now,
      () => this.#attempts.alsoBlocked,
      this.#over.signal,
    );
  }

  get held(): Held {
    return this.#held;
  }

  /** Of everybody who reads the stream. `null`: nothing is known yet. */
  report(now: number): CounterReport | null {
    return this.#attempts.report(this.counters, now);
  }

  /** Who would help with the stream, and does. @param askedAt monotonic time before they were asked for */
  helped(rows: readonly HelperRow[], askedAt: number): void {
    if (this.#attempts.helped(rows, askedAt)) this.#bell.ring();
  }

  /** What the row says now. */
  apply(view: LeaseView): void {
    if (view.ordersRevision > this.#ordersSeen) {
      this.#ordersSeen = view.ordersRevision;
      this.#attempts.now?.ordersChanged();
    }
    if (view.generation < this.#want.generation) return;
    if (view.generation > this.#want.generation) {
      this.#failures.clear();
      this.#retryAt = 0;
      this.#connectedOnce &&= this.#attempts.now?.connected ?? false;
    }
    const { generation, desired, configRevision } = this.#want;
    const changed =
      view.generation !== generation || view.desired !== desired || view.configRevision !== configRevision;
    this.#want = view;
    if (changed) this.#bell.ring();
  }

  /** Ends it as it is, for another worker to take over: what was read lands within the time, the lease is given back. */
  release(withinMs: number): Promise<RunnerEnd> {
    this.#halt ??= { kind: 'release', withinMs };
    this.#bell.ring();
    return this.done;
  }

  /** The lease is gone: ends it at once and writes nothing. Invariant 3. */
  abandon(): Promise<RunnerEnd> {
    this.#halt = { kind: 'abandon' };
    void this.#attempts.now?.stop(0);
    this.#bell.ring();
    return this.done;
  }

  async #main(): Promise<RunnerEnd> {
    try {
      for (;;) {
        const seen = this.#bell.count;
        const end = await this.#step();
        if (end) return end;
        await this.#bell.wait(seen);
      }
    } catch (error) {
      // A fault of ours: let go; the lease runs out and the stream is taken up anew.
      this.deps.engine.log.error({ streamId: this.#held.streamId, err: error }, 'the runner of a stream failed');
      await this.#attempts.end(0);
      return 'broken';
    } finally {
      this.#over.abort();
      this.#bell.ring();
      this.#sayOpened();
    }
  }

  async #step(): Promise<RunnerEnd | null> {
    if (this.#halt?.kind === 'abandon' || !this.deps.mayWrite()) return this.#lose();
    if (this.#halt) return this.#release(this.#halt.withinMs);
    const { desired, generation } = this.#want;
    this.#acting = generation;
    if (desired === 'stopped' || desired === 'idle') {
      const attempt = this.#attempts.now;
      await this.#attempts.end(DRAIN.stop);
      return this.#stop(attempt);
    }
    const ended = this.#attempts.takeEnded();
    if (ended?.end?.kind === 'failed') this.#fail(ended.end.failure, ended.progressed);
    else if (ended?.reads) return this.#stop(ended);
    if (this.#failure) {
      const end = await this.#actOnFailure(this.#failure);
      if (end || this.#failure) return end;
    }
    return desired === 'paused' ? this.#pause() : this.#run();
  }

  /** `stopped` is said once nobody can append any more: ours has ended, and one before us, if we never wrote, is barred. */
  async #stop(attempt: Attempt | null): Promise<RunnerEnd | null> {
    const barred = await this.#bar();
    if (barred === 'fenced') return this.#lose();
    if (barred === 'unknown') return (this.#later(REPORT_RETRY_MS), null);
    return this.#finish('stopped', { ...progressOf(attempt), blocked: null });
  }

  #bar(): Promise<'barred' | 'fenced' | 'unknown'> {
    const { epoch } = this.#held;
    return this.#attempts.bar(async () => {
      const spec = this.#claimed ?? (await this.#row.read());
      return spec && { ...spec, epoch };
    });
  }

  async #run(): Promise<RunnerEnd | null> {
    const { now, paused } = this.#attempts;
    if (now && (!now.reads || (paused && this.#outdated))) await this.#attempts.end(0);
    // One whose decision about a lost position has yet to be carried out reads alone.
    if (this.#onLost === null) await this.#attempts.reshare(DRAIN.share);
    this.#attempts.resume();
    if (!this.#attempts.now) await this.#begin(true);
    const seated = await this.#attempts.seat();
    if (seated === 'fenced') return this.#lose();
    if (seated === 'unknown') this.#later(REPORT_RETRY_MS);
    // Invariant 7: `running` is said when the source has answered, not before.
    if (!this.#attempts.now?.connected) return null;
    this.#connectedOnce = true;
    const fresh = this.#confirmed?.generation !== this.#acting;
    return this.#confirm('running', fresh ? { lastError: null } : {});
  }

  async #pause(): Promise<RunnerEnd | null> {
    await this.#attempts.pause(DRAIN.pause);
    if (this.#outdated) await this.#attempts.end(0);
    if (!this.#attempts.now) await this.#begin(false);
    // Invariant 7: what a reader had sent when it was given up may land until the log is opened anew.
    if (!this.#attempts.now?.opened) return null;
    const seated = await this.#attempts.seat();
    if (seated === 'fenced') return this.#lose();
    if (seated === 'unknown') return (this.#later(REPORT_RETRY_MS), null);
    return this.#confirm('paused', {});
  }

  /** Invariant 7: what nothing reads goes on with the config and the connection that the API shows. */
  get #outdated(): boolean {
    return this.#want.configRevision > this.#configRevision;
  }

  async #begin(reads: boolean): Promise<void> {
    const { engine } = this.deps;
    const { clock } = engine;
    const wait = this.#retryAt - clock.monotonic();
    if (wait > 0) return this.#later(wait);
    const { generation, desired } = this.#want;
    const spec = this.#claimed?.generation === generation ? this.#claimed : await this.#row.read();
    this.#claimed = null;
    if (!spec) return this.#later(REPORT_RETRY_MS);
    this.#onLost = spec.onLostPosition;
    this.#connectedOnce &&= spec.configRevision === this.#configRevision;
    this.#configRevision = spec.configRevision;
    this.#attempts.begin(
      (share) =>
        new Attempt({
          engine,
          spec: {
            ...{ ...spec, epoch: this.#held.epoch, generation, desired },
            ...{ owned: this.#owned, onLostPosition: this.#onLost },
          },
          held: this.#held,
          share,
          counters: this.counters,
          extras: {
            ...this.#row.extras({ owned: this.#owned, onLostPosition: this.#onLost }, this.counters),
            remember: (owned) => this.#remember(owned),
          },
          reads,
          preflight: !this.#connectedOnce,
          mayWrite: () => this.deps.mayWrite(),
          onChange: () => this.#bell.ring(),
          onSettled: () => this.#failures.clear(),
          onGivenUp: () => void this.#givenUp(),
        }),
    );
    if (this.#ordersSeen > 0) this.#attempts.now?.ordersChanged();
  }

  #fail(failure: Failure, progressed: boolean): void {
    this.counters.failed();
    this.#failures.note(failure, progressed);
    this.#failure = failure;
    this.#sayOpened();
  }

  /** @returns an end, or `null` with `#failure` cleared when the stream goes on (later). */
  async #actOnFailure(failure: Failure): Promise<RunnerEnd | null> {
    const { clock, random = Math.random, log } = this.deps.engine;
    const found = lastError(failure, clock);
    switch (this.#failures.verdict(failure)) {
      case 'fenced':
        return this.#lose();
      case 'error': {
        // Those who help end by themselves where the log can't be told.
        if (this.#attempts.unsettled && (await this.#bar()) === 'fenced') return this.#lose();
        log.warn({ streamId: this.#held.streamId, code: failure.code, reason: found.message }, 'stream failed');
        return this.#finish('error', { lastError: found, blocked: null });
      }
      case 'retry': {
        const wait = backoffMs(failure, this.#failures.count, random());
        this.#failure = null;
        this.#retryAt = clock.monotonic() + wait; // `#begin` waits for it
        log.info(
          {
            ...{ streamId: this.#held.streamId, code: failure.code, reason: found.message },
            ...{ failures: this.#failures.count, waitMs: Math.round(wait) },
          },
          'stream retries',
        );
        return (await this.#row.tell({ lastError: found })) === 'fenced' ? this.#lose() : null;
      }
    }
  }

  /** Says a status for the generation that this step acts for. */
  async #confirm(status: 'running' | 'paused', extra: StatusReport): Promise<RunnerEnd | null> {
    const generation = this.#acting;
    if (this.#confirmed?.generation === generation && this.#confirmed.status === status) return null;
    const answer = await this.#row.tell({ status, ...extra }, generation);
    if (answer === 'fenced') return this.#lose();
    if (answer === 'written') {
      this.#confirmed = { generation, status };
      this.#sayOpened();
    } else this.#askAgain(answer);
    return null;
  }

  /** Says the last status and gives the lease back in one write. */
  async #finish(status: 'stopped' | 'error', extra: StatusReport): Promise<RunnerEnd | null> {
    const answer = await this.#row.tell({ status, releaseLease: true, ...extra }, this.#acting);
    if (answer === 'written') return status;
    if (answer === 'fenced') return this.#lose();
    if (answer === 'superseded') this.#failure = null; // a newer command decides
    this.#askAgain(answer);
    return null;
  }

  #askAgain(answer: 'superseded' | 'unknown'): void {
    if (answer === 'superseded') this.deps.refresh();
    this.#later(REPORT_RETRY_MS);
  }

  async #remember(owned: Owned): Promise<void> {
    await this.#row.remember(owned);
    this.#owned = owned;
  }

  async #givenUp(): Promise<void> {
    if (this.#onLost === null) return;
    if ((await this.#row.tell({ clearOnLostPosition: true })) === 'written') this.#onLost = null;
  }

  async #lose(): Promise<RunnerEnd> {
    await this.#attempts.end(0);
    return 'lost';
  }

  async #release(withinMs: number): Promise<RunnerEnd> {
    const attempt = this.#attempts.now;
    await this.#attempts.end(withinMs);
    await this.#row.tell({ ...progressOf(attempt), releaseLease: true, blocked: null });
    return 'released';
  }

  #later(ms: number): void {
    void this.deps.engine.clock.sleep(ms, this.#over.signal).then(() => this.#bell.ring());
  }
}

/** What is over when it ends is shown so: whoever goes on has nothing left to tell of it (Invariant 7). */
function progressOf(attempt: Attempt | null): Pick<StatusReport, 'snapshot'> {
  const snapshot = attempt?.snapshot() ?? null;
  return snapshot === null ? {} : { snapshot };
}
