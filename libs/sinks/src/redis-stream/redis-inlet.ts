import { randomBytes } from 'node:crypto';
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
import { InletLine, type Waiting } from '../inlet-line.js';
import { InletReports } from './inlet-reports.js';
import { BECAME, OPEN_INLET, TAKE, TAKEN } from './inlet-scripts.js';
import { eventsKey, logKey, seenKey } from './keys.js';
import type { Retention } from './redis-sink.js';

declare module 'ioredis' {
  interface RedisCommander<Context> {
    plnxTake(keys: number, ...args: (string | number | Buffer)[]): Result<number[], Context>;
    plnxOpenInlet(...args: (string | number)[]): Result<string | number, Context>;
  }
}

/** How long it waits before it tries again what was not written. */
const AGAIN_MS = 50;
/** How often it looks whether this Redis still syncs as it did. */
const LOOK_MS = 10_000;

const fenced = () => new StreamError('fenced', 'The log has a newer epoch of this stream');
const lost = () => new StreamError('offset_gap', 'The log of this stream is gone or is an older one');

/**
 * Deliveries into Redis, for many writers at once. While one group of a stream is being written, the next one gathers:
 * durability costs one round trip for all of a group. What was under way when a connection was lost is sent again, for
 * the log knows what it has.
 */
export class RedisInlet implements Inlet {
  readonly #redis: Redis;
  readonly #lines = new Map<string, InletLine>();
  readonly #closing = new AbortController();
  /** Grows with each connection: a write is not durable yet when its Redis may have been another one meanwhile. */
  #connection = 0;
  #delay: Promise<number> | null = null;
  #lookedAt = 0;
  /** Streams whose logs were looked through, in this connection, for what a killed Redis has added twice. */
  readonly #searched = new Set<string>();
  readonly #reports: InletReports;

  constructor(
    private readonly retention: Retention,
    connect: RedisFactory,
    private readonly clock: Clock,
  ) {
    this.#redis = inletConnection(connect);
    this.#redis.defineCommand('plnxTake', { lua: TAKE });
    this.#redis.defineCommand('plnxOpenInlet', { lua: OPEN_INLET, numberOfKeys: 2 });
    this.#reports = new InletReports(this.#redis, clock, logKey, (use) => this.#run(use));
    this.#redis.on('close', () => {
      this.#connection++;
      this.#delay = null;
      this.#searched.clear();
    });
  }

  async open(streamId: string, epoch: number, mark: string | null): Promise<string> {
    const fresh = randomBytes(9).toString('base64url');
    const found = await this.#durably((redis) =>
      redis.plnxOpenInlet(eventsKey(streamId), logKey(streamId), epoch, fresh, mark ?? ''),
    );
    if (found === TAKEN.fenced) throw fenced(); // Invariant 3
    if (typeof found === 'number') throw lost(); // Invariant 2
    this.#search(streamId, epoch);
    return found;
  }

  append(streamId: string, epoch: number, intake: Intake, until: number): Promise<TakenIn> {
    let line = this.#lines.get(streamId);
    if (line === undefined) this.#lines.set(streamId, (line = new InletLine()));
    let bytes = 0;
    for (const { data } of intake.parts) bytes += data.length;
    return new Promise((resolve, reject) => {
      line.push({ epoch, intake, bytes, until, resolve, reject });
      if (line.busy) return;
      line.busy = true;
      // What else came in this turn of the loop goes with it; beside other streams it goes before their next groups.
      const drain = () => void this.#drain(streamId, line);
      if (this.#lines.size > 1) process.nextTick(drain);
      else setImmediate(drain);
    });
  }

  report(report: InletReport): Promise<InletTotals | null> {
    return this.#reports.report(report, this.#closing.signal);
  }

  close(): Promise<void> {
    this.#closing.abort();
    cut(this.#redis);
    const over = new StreamError('log_unavailable', 'The log was closed');
    for (const line of this.#lines.values())
      for (let group = line.take(); group.length > 0; group = line.take()) for (const one of group) one.reject(over);
    return Promise.resolve();
  }

  async #drain(streamId: string, line: InletLine): Promise<void> {
    for (let group = line.take(); group.length > 0; group = line.take()) {
      try {
        await this.#take(streamId, group);
      } catch (error) {
        await this.#again(line, group, logUnavailable(error));
      }
    }
    line.busy = false;
    this.#lines.delete(streamId);
  }

  /** One write. Rejects where it is not known whether it is durable. */
  async #take(streamId: string, group: readonly Waiting[]): Promise<void> {
    const keys: string[] = [eventsKey(streamId), logKey(streamId)];
    const { maxEntries, onFull } = this.retention;
    const args: (string | number | Buffer)[] = [group[0]!.epoch, maxEntries, onFull, `/streams/${streamId}`];
    for (const { intake } of group) {
      keys.push(seenKey(streamId, intake.sameDelivery), seenKey(streamId, intake.sameId));
      args.push(intake.windowMs, intake.id, intake.otherId, intake.type, intake.subject, intake.time, intake.timeMs);
      args.push(intake.expanded ? '1' : '0', intake.parts.length);
      for (const { partitionkey, data } of intake.parts) args.push(partitionkey, data);
    }
    const [answer, ...became] = await this.#durably((redis) => redis.plnxTake(keys.length, ...keys, ...args));
    if (answer !== TAKEN.ok)
      // Invariants 3 and 2
      return group.forEach(({ reject }) => reject(answer === TAKEN.fenced ? fenced() : lost()));
    this.#search(streamId, group[0]!.epoch);
    group.forEach(({ intake, resolve }, i) => {
      const what = became[i]!;
      if (what === BECAME.full) return resolve({ kind: 'full' });
      const kind = what & BECAME.repeated ? 'repeated' : 'written';
      resolve({ kind, id: what & BECAME.other ? intake.otherId : intake.id });
    });
  }

  /** Removes doubles, once in each connection: a Redis that has begun anew may have them. Nobody waits for it. */
  #search(streamId: string, epoch: number): void {
    if (this.#searched.has(streamId)) return;
    this.#searched.add(streamId);
    const keys = [eventsKey(streamId), logKey(streamId)] as const;
    this.#run((redis) => removeDoubles(redis, keys, ['epoch', String(epoch)])).catch(() =>
      this.#searched.delete(streamId),
    );
  }

  /** What still has time is tried again; the rest hears why it was not written, as far as is known. */
  async #again(line: InletLine, group: readonly Waiting[], error: StreamError): Promise<void> {
    line.putBack(group);
    const now = this.#closing.signal.aborted ? Infinity : this.clock.monotonic() + AGAIN_MS;
    for (const { reject } of line.late(now)) reject(error);
    if (!line.isEmpty) await this.clock.sleep(AGAIN_MS, this.#closing.signal);
  }

  /** Resolves once what was written is on disk; where Redis may have begun anew meanwhile it rejects (trap 26). */
  async #durably<T>(write: (redis: Redis) => Promise<T>): Promise<T> {
    const [connection, delay] = [this.#connection, await this.#settleDelay()];
    const answer = await this.#run(write);
    if (delay > 0) await this.clock.sleep(delay, this.#closing.signal);
    // It may have died right after its answer, with its host, and nobody would hear of that.
    if (delay > 0) await this.#run((redis) => redis.ping());
    if (delay > 0 && connection !== this.#connection)
      throw new StreamError('log_unavailable', 'The log was away before the write was on its disk');
    return answer;
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
