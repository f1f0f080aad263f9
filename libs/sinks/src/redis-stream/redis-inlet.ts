import { randomBytes } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import {
  StreamError,
  type Clock,
  type Inlet,
  type InletReport,
  type InletTotals,
  type Intake,
  type TakenIn,
} from '@planasonix/core';
import type { Redis, Result } from 'ioredis';
import { cut, inletConnection, logUnavailable, type RedisFactory } from './connection.js';
import { removeDoubles } from './doubles.js';
import { readDurability, settleDelayMs } from './durability.js';
import type { Waiting } from '../inlet-line.js';
import { InletReports } from './inlet-reports.js';
import { BECAME, OPEN_INLET, TAKE, TAKEN } from './inlet-scripts.js';
import { eventsKey, logKey, seenKey } from './keys.js';
import { RedisLane, type Landed } from './redis-lane.js';
import type { Retention } from './redis-sink.js';

declare module 'ioredis' {
  interface RedisCommander<Context> {
    plnxTake(keys: number, ...args: (string | number | Buffer)[]): Result<number[], Context>;
    plnxOpenInlet(...args: (string | number)[]): Result<string | number, Context>;
  }
}

/** How often it looks whether this Redis still syncs as it did. */
const LOOK_MS = 10_000;
/** How often it is looked whose time is over, whatever is under way. */
const LATE_MS = 100;
/** What is written within this time waits together until it is on the disk. */
const TOGETHER_MS = 50;

const nextTick = (run: () => void) => process.nextTick(run);
const fenced = () => new StreamError('fenced', 'The log has a newer epoch of this stream');
const lost = () => new StreamError('offset_gap', 'The log of this stream is gone or is an older one');

/**
 * Deliveries into Redis, for many writers at once. Durability costs one round trip for all of a group (`RedisLane`). What
 * was under way when a connection was lost is sent again, for the log knows what it has.
 */
export class RedisInlet implements Inlet {
  readonly #redis: Redis;
  readonly #lanes = new Map<string, RedisLane>();
  readonly #closing = new AbortController();
  /** Grows with each connection: a write is not durable yet when its Redis may have been another one meanwhile. */
  #connection = 0;
  #delay: Promise<number> | null = null;
  #settling: Promise<void> | null = null;
  #isTellingLate = false;
  #lookedAt = 0;
  /** Streams whose logs were looked through, in this connection, for what a killed Redis has added twice. */
  readonly #searched = new Set<string>();
  readonly #reports: InletReports;

  constructor(
    private readonly retention: Retention,
    connect: RedisFactory,
    private readonly clock: Clock,
  ) {
    setMaxListeners(0, this.#closing.signal);
    this.#redis = inletConnection(connect);
    this.#redis.defineCommand('plnxTake', { lua: TAKE });
    this.#redis.defineCommand('plnxOpenInlet', { lua: OPEN_INLET, numberOfKeys: 2 });
    this.#reports = new InletReports(this.#redis, clock, logKey, (use) => this.#run(use));
    this.#redis.on('close', () => {
      this.#connection++;
      this.#delay = null;
      this.#searched.clear();
      for (const lane of this.#lanes.values()) lane.rewind();
    });
  }

  async open(streamId: string, epoch: number, mark: string | null): Promise<string> {
    const fresh = randomBytes(9).toString('base64url');
    const { answer, settled } = await this.#write((redis) =>
      redis.plnxOpenInlet(eventsKey(streamId), logKey(streamId), epoch, fresh, mark ?? ''),
    );
    if (answer === TAKEN.fenced) throw fenced(); // Invariant 3
    if (typeof answer === 'number') throw lost(); // Invariant 2
    await settled?.();
    this.#search(streamId, epoch);
    return answer;
  }

  append(streamId: string, epoch: number, intake: Intake, until: number): Promise<TakenIn> {
    let lane = this.#lanes.get(streamId);
    if (lane === undefined) this.#lanes.set(streamId, (lane = this.#lane(streamId)));
    let bytes = 0;
    for (const { data } of intake.parts) bytes += data.length;
    // What else came in this turn of the loop goes with it; beside other streams it goes before their next groups.
    const next = this.#lanes.size > 1 ? nextTick : setImmediate;
    const taken = new Promise<TakenIn>((resolve, reject) =>
      lane.push({ epoch, intake, bytes, until, resolve, reject }, next),
    );
    if (!this.#isTellingLate) void this.#tellLate();
    return taken;
  }

  report(report: InletReport): Promise<InletTotals | null> {
    return this.#reports.report(report, this.#closing.signal);
  }

  close(): Promise<void> {
    this.#closing.abort();
    cut(this.#redis);
    for (const lane of this.#lanes.values()) lane.close();
    return Promise.resolve();
  }

  #lane(streamId: string): RedisLane {
    return new RedisLane({
      write: (group) => this.#take(streamId, group),
      caughtUp: (epoch) => this.#search(streamId, epoch),
      idle: () => this.#lanes.delete(streamId),
      ...{ clock: this.clock, closing: this.#closing.signal },
    });
  }

  /** Nobody waits longer than he said (trap 29). */
  async #tellLate(): Promise<void> {
    this.#isTellingLate = true;
    while (this.#lanes.size > 0 && (await this.clock.sleep(LATE_MS, this.#closing.signal)))
      for (const lane of this.#lanes.values()) lane.tellLate(this.clock.monotonic() + LATE_MS);
    this.#isTellingLate = false;
  }

  async #take(streamId: string, group: readonly Waiting[]): Promise<Landed> {
    const keys: string[] = [eventsKey(streamId), logKey(streamId)];
    const { maxEntries, onFull } = this.retention;
    const args: (string | number | Buffer)[] = [group[0]!.epoch, maxEntries, onFull, `/streams/${streamId}`];
    for (const { intake } of group) {
      keys.push(seenKey(streamId, intake.sameDelivery), seenKey(streamId, intake.sameId));
      args.push(intake.windowMs, intake.id, intake.otherId, intake.type, intake.subject, intake.time, intake.timeMs);
      args.push(intake.expanded ? '1' : '0', intake.inOrder ? '1' : '0', intake.parts.length);
      for (const { partitionkey, data } of intake.parts) args.push(partitionkey, data);
    }
    const { answer, settled } = await this.#write((redis) => redis.plnxTake(keys.length, ...keys, ...args));
    const [judged, ...became] = answer;
    if (judged !== TAKEN.ok) throw judged === TAKEN.fenced ? fenced() : lost(); // Invariants 3 and 2
    return { taken: group.map(({ intake }, i) => takenIn(intake, became[i]!)), settled };
  }

  /** Removes doubles, once in each connection: a Redis that has begun anew may have them once all is written again. Nobody waits for it. */
  #search(streamId: string, epoch: number): void {
    if (this.#searched.has(streamId)) return;
    this.#searched.add(streamId);
    const keys = [eventsKey(streamId), logKey(streamId)] as const;
    this.#run((redis) => removeDoubles(redis, keys, ['epoch', String(epoch)])).catch(() =>
      this.#searched.delete(streamId),
    );
  }

  /** `settled`: `null` where the answer says that it is on the disk; else as of `Landed`. */
  async #write<T>(write: (redis: Redis) => Promise<T>): Promise<{ answer: T; settled: Landed['settled'] }> {
    const [connection, delay] = [this.#connection, await this.#settleDelay()];
    const answer = await this.#run(write);
    return { answer, settled: delay === 0 ? null : () => this.#settled(connection, delay) };
  }

  /** Resolves once what was answered by now is on disk; where Redis may have begun anew meanwhile it rejects (trap 26). */
  async #settled(connection: number, delay: number): Promise<void> {
    await (this.#settling ??= this.#settle(delay));
    if (connection !== this.#connection)
      throw new StreamError('log_unavailable', 'The log was away before the write was on its disk');
  }

  async #settle(delay: number): Promise<void> {
    await this.clock.sleep(TOGETHER_MS, this.#closing.signal);
    this.#settling = null;
    await this.clock.sleep(delay, this.#closing.signal);
    // It may have died right after its answer, with its host, and nobody would hear of that.
    await this.#run((redis) => redis.ping());
  }

  async #settleDelay(): Promise<number> {
    const now = this.clock.monotonic();
    if (this.#delay === null || now - this.#lookedAt > LOOK_MS) {
      this.#lookedAt = now;
      const found = this.#run(readDurability).then(settleDelayMs);
      found.catch(() => (this.#delay = null));
      this.#delay = found;
    }
    return this.#delay;
  }

  async #run<T>(use: (redis: Redis) => Promise<T>): Promise<T> {
    try {
      if (this.#closing.signal.aborted) throw new Error('The log was closed');
      return await use(this.#redis);
    } catch (error) {
      throw logUnavailable(error);
    }
  }
}

function takenIn({ id, otherId }: Intake, became: number): TakenIn {
  if (became === BECAME.full) return { kind: 'full' };
  return { kind: became & BECAME.repeated ? 'repeated' : 'written', id: became & BECAME.other ? otherId : id };
}
