import type { SpreadLedger } from '@planasonix/core';
import type { EngineDeps } from './deps.js';
import { Helper } from './helper.js';
import { holds, holdsUntil, LEASE } from './lease.js';
import { within } from './within.js';

export interface HelpersDeps extends EngineDeps {
  readonly spread: SpreadLedger;
  readonly workerId: string;
  readonly sourceType: string;
  /** Streams that it may take on besides those it helps with already. */
  free(): number;
  /** This worker leads it, or is about to. */
  leads(streamId: string): boolean;
}

interface Member {
  readonly helper: Helper;
  readonly lease: { until: number };
}

const JOIN_MS = 2_000;
/** Also how long a share is read by nobody when seats change. */
const KEEP_MS = 1_000;
const WATCH_MS = 250;
/** Streams joined at once: each may open connections soon. Invariant 6. */
const JOINS_AT_ONCE = 8;
/** A share that could not be read is not asked for again for so long: twice as long each time, up to the most. */
const REST_MS = { first: 30_000, most: 600_000 } as const;

interface Rest {
  readonly until: number;
  readonly ms: number;
}

/** Streams of others that this worker helps with: joins them, keeps its rows, gives them up in time. */
export class Helpers {
  readonly #members = new Map<string, Member>();
  /** Streams whose share failed here. Forgotten when one has gone well since for as long as the longest rest. */
  readonly #rests = new Map<string, Rest>();
  #underWay = 0;

  constructor(private readonly deps: HelpersDeps) {}

  get count(): number {
    return this.#members.size;
  }

  start(signal: AbortSignal): void {
    void this.#every(JOIN_MS, signal, () => this.#join(signal));
    void this.#every(KEEP_MS, signal, () => this.#keepSoon());
    void this.#every(WATCH_MS, signal, () => this.#giveUpLapsed());
  }

  /** This worker leads it from here on, or reads it no more. */
  async leave(streamId: string, withinMs = 0): Promise<void> {
    const member = this.#members.get(streamId);
    if (!member) return;
    this.#members.delete(streamId);
    await member.helper.end(withinMs);
    // A row that stays runs out by itself.
    await this.deps.spread.leave(this.deps.workerId, streamId).catch(() => undefined);
  }

  async stop(withinMs: number): Promise<void> {
    await Promise.all([...this.#members.keys()].map((streamId) => this.leave(streamId, withinMs)));
  }

  async #every(ms: number, signal: AbortSignal, work: () => void | Promise<void>): Promise<void> {
    const { clock, log } = this.deps;
    while (await clock.sleep(ms, signal))
      try {
        await work();
      } catch (error) {
        log.warn({ err: error }, 'the worker could not look after the streams that it helps with; it tries again');
      }
  }

  async #join(signal: AbortSignal): Promise<void> {
    const { clock, spread, workerId, sourceType } = this.deps;
    const now = clock.monotonic();
    for (const [streamId, { until }] of this.#rests) if (now >= until + REST_MS.most) this.#rests.delete(streamId);
    const rests = (streamId: string): boolean => now < (this.#rests.get(streamId)?.until ?? 0);
    const free = Math.min(JOINS_AT_ONCE, this.deps.free());
    if (free <= 0) return;
    const found = await spread.openings(workerId, sourceType, free + this.#rests.size);
    for (const streamId of found.filter((id) => !rests(id) && !this.#members.has(id)).slice(0, free)) {
      const askedAt = clock.monotonic();
      if (signal.aborted || !(await spread.join(workerId, streamId))) continue;
      // The answer came late: the lead is gone, and this worker takes his place.
      if (this.deps.leads(streamId)) {
        await spread.leave(workerId, streamId);
        continue;
      }
      const lease = { until: holdsUntil(askedAt) };
      const helper = new Helper({
        engine: this.deps,
        streamId,
        mayWrite: () => holds(lease.until, clock.monotonic()),
        onFailed: (code) => this.#rest(streamId, code),
      });
      this.#members.set(streamId, { helper, lease });
    }
  }

  #rest(streamId: string, code: string): void {
    const { clock, log } = this.deps;
    log.warn({ streamId, code }, 'a share of a stream can not be read here and is given back');
    const before = this.#rests.get(streamId)?.ms;
    const ms = before === undefined ? REST_MS.first : Math.min(before * 2, REST_MS.most);
    this.#rests.set(streamId, { until: clock.monotonic() + ms, ms });
    void this.leave(streamId);
  }

  /** None waits for the last one: where one has no answer, the next is sent. */
  async #keepSoon(): Promise<void> {
    if (this.#members.size > 0 && this.#underWay < LEASE.underWay)
      await within(this.deps.clock, LEASE.answerWithinMs, this.#keep());
  }

  async #keep(): Promise<void> {
    const { clock, spread, workerId } = this.deps;
    const asked = [...this.#members];
    const askedAt = clock.monotonic();
    this.#underWay++;
    try {
      const now = clock.now();
      const views = await spread.keep(workerId, new Map(asked.map(([id, { helper }]) => [id, helper.report(now)])));
      for (const [streamId, member] of asked) {
        if (this.#members.get(streamId) !== member) continue;
        const view = views.get(streamId);
        if (!view)
          void this.leave(streamId); // Invariant 3
        else {
          member.lease.until = Math.max(member.lease.until, holdsUntil(askedAt));
          member.helper.apply(view);
        }
      }
    } finally {
      this.#underWay--;
    }
  }

  /** Whoever was frozen finds out here, or at the next write. Trap 27 */
  #giveUpLapsed(): void {
    const now = this.deps.clock.monotonic();
    for (const [streamId, { lease }] of this.#members) if (!holds(lease.until, now)) void this.leave(streamId);
  }
}
