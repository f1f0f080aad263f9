import type { CounterReport } from '@planasonix/core';
import type { Redis, Result } from 'ioredis';
import { APPLY } from './apply-script.js';
import { bucketKey, BUCKETS, gaugesKey, latencyKey, SPANS, type MetricsWindow } from './keys.js';
import { sumWindow, type Bucket } from './window-sum.js';

/** A lag that nothing has proved for this long is not certain. */
const CERTAIN_MS = 30_000;
/**
 * Reports come each second. What was pending in one that is no older than this is most likely durable by now, and its
 * age is that of the moment of the report; what an older one told of is taken as pending still.
 */
const FRESH_MS = 2_000;
/** What a source keeps is looked at each 10 s; what was seen long ago is not told as if it were so. */
const RETENTION_MS = 60_000;

/** What a source keeps for the stream: WAL of Postgres, the binlog of MySQL. */
export interface SourceRetention {
  readonly held_bytes: number;
  readonly bytes_to_loss: number | null;
  readonly seconds_to_loss: number | null;
  readonly budget_bytes: number | null;
  readonly over_budget: boolean;
}

/** What `GET …/metrics` answers, less the stream's id and status. */
export interface WindowMetrics {
  readonly events_per_second: number;
  readonly bytes_per_second: number;
  readonly lag_seconds: number;
  readonly lag_certain: boolean;
  readonly error_rate_per_minute: number;
  readonly last_event_at: string | null;
  readonly latency_ms: { readonly p50: number | null; readonly p95: number | null; readonly p99: number | null };
  readonly total_events: number;
  readonly total_bytes: number;
  readonly rejected_events: number;
  readonly dropped_events: number;
  readonly backlog_bytes: number | null;
  readonly backlog_records: number | null;
  readonly source_retention: SourceRetention | null;
  readonly window: MetricsWindow;
  readonly computed_at: string;
}

declare module 'ioredis' {
  interface RedisCommander<Context> {
    plnxApply(key: string, ...args: (string | number)[]): Result<number, Context>;
  }
}

/** Counters in, windows out. Stateless over Redis: any number of writers and readers. */
export class MetricsStore {
  /**
   * @param redis a client of the caller's; a script is defined on it.
   * @param clock milliseconds since the Unix epoch; absent: that of the Redis server, which every instance shares.
   */
  constructor(
    private readonly redis: Redis,
    private readonly clock: (() => number) | null = null,
  ) {
    redis.defineCommand('plnxApply', { numberOfKeys: 1, lua: APPLY });
  }

  /**
   * @param createdAt when a stream was created, as far as it is known: the base of the first report.
   * @returns how many of the reports were new.
   */
  async apply(
    reports: readonly CounterReport[],
    createdAt: (streamId: string) => Date | null = () => null,
  ): Promise<number> {
    if (reports.length === 0) return 0;
    const text = (value: number | null | undefined): string | number => value ?? '';
    const seconds = (ms: number | undefined): string | number => (ms === undefined ? '' : ms / 1000);
    const calls = reports.map((r) =>
      this.redis.plnxApply(
        gaugesKey(r.stream_id),
        r.epoch,
        r.sequence,
        r.total_events,
        r.total_bytes,
        r.errors,
        r.rejected_events,
        r.dropped_events,
        text(r.oldest_pending_at),
        text(r.lag_proved_at),
        text(r.last_event_at),
        text(r.backlog_bytes),
        seconds(createdAt(r.stream_id)?.getTime()),
        seconds(this.clock?.()),
        text(r.held_bytes),
        text(r.bytes_to_loss),
        text(r.seconds_to_loss),
        text(r.budget_bytes),
        text(r.backlog_records),
        ...r.latency.flat(),
      ),
    );
    return (await Promise.all(calls)).reduce((sum, taken) => sum + taken, 0);
  }

  /** @param createdAt of the stream: one that is younger than the window is divided by its age. */
  async window(streamId: string, window: MetricsWindow, createdAt: Date): Promise<WindowMetrics> {
    const now = await this.now();
    const { seconds, bucket } = SPANS[window];
    const [gauges, ...buckets] = await this.hashes([gaugesKey(streamId), ...this.bucketKeys(streamId, window, now)]);
    const sum = sumWindow(buckets, now / 1000, seconds, bucket);
    const age = Math.max(1, Math.min(seconds, (now - createdAt.getTime()) / 1000));
    const number = (name: string): number | null =>
      gauges?.[name] === undefined || gauges[name] === '' ? null : Number(gauges[name]);
    const pending = number('oldest_pending_at');
    const proved = number('lag_proved_at');
    const last = number('last_event_at');
    const seen = (number('seen_at') ?? 0) * 1000;
    const asOf = now - seen < FRESH_MS ? Math.min(now, seen) : now;
    return {
      events_per_second: round(sum.events / age, 6),
      bytes_per_second: round(sum.bytes / age, 6),
      lag_seconds: pending === null ? 0 : Math.max(0, round((asOf - pending) / 1000, 3)),
      // A proof from the future is a clock that is wrong.
      lag_certain: proved !== null && Math.abs(now - proved) < CERTAIN_MS,
      error_rate_per_minute: round((sum.failures / age) * 60, 6),
      last_event_at: last === null ? null : new Date(last).toISOString(),
      latency_ms: sum.latency,
      total_events: number('events') ?? 0,
      total_bytes: number('bytes') ?? 0,
      rejected_events: number('rejected_total') ?? 0,
      dropped_events: number('dropped_total') ?? 0,
      backlog_bytes: number('backlog_bytes'),
      backlog_records: number('backlog_records'),
      source_retention: now - seen < RETENTION_MS ? retained(number) : null,
      window,
      computed_at: new Date(now).toISOString(),
    };
  }

  /** Events of the last minute over many streams. */
  async eventsPerMinute(streamIds: readonly string[]): Promise<number> {
    if (streamIds.length === 0) return 0;
    const now = await this.now();
    const pipeline = this.redis.pipeline();
    const per = this.bucketKeys('', '1m', now).length;
    for (const id of streamIds) for (const key of this.bucketKeys(id, '1m', now)) pipeline.hget(key, 'e');
    const answers = await results<string | null>(pipeline);
    let events = 0;
    for (let i = 0; i < streamIds.length; i++)
      events += sumWindow(
        answers.slice(i * per, (i + 1) * per).map((e): Bucket => (e === null ? {} : { e })),
        now / 1000,
        SPANS['1m'].seconds,
        SPANS['1m'].bucket,
      ).events;
    return Math.round(events);
  }

  /** Removes what is kept of a stream. */
  async forget(streamId: string): Promise<void> {
    const now = await this.now();
    const buckets = BUCKETS.flatMap(([width, kept]) => {
      const newest = Math.floor(now / 1000 / width);
      const count = Math.ceil(kept / width) + 2;
      return Array.from({ length: count }, (_, i) => bucketKey(streamId, width, newest + 1 - i));
    });
    await this.redis.unlink(gaugesKey(streamId), latencyKey(streamId), ...buckets);
  }

  private async now(): Promise<number> {
    if (this.clock !== null) return this.clock();
    const [seconds, micros] = (await this.redis.time()).map(Number);
    return seconds! * 1000 + micros! / 1000;
  }

  private bucketKeys(streamId: string, window: MetricsWindow, now: number): string[] {
    const { seconds, bucket } = SPANS[window];
    const newest = Math.floor(now / 1000 / bucket);
    const count = seconds / bucket + 1;
    return Array.from({ length: count }, (_, i) => bucketKey(streamId, bucket, newest - (count - 1 - i)));
  }

  private hashes(keys: readonly string[]): Promise<Record<string, string>[]> {
    const pipeline = this.redis.pipeline();
    for (const key of keys) pipeline.hgetall(key);
    return results<Record<string, string>>(pipeline);
  }
}

async function results<T>(pipeline: { exec(): Promise<[Error | null, unknown][] | null> }): Promise<T[]> {
  return ((await pipeline.exec()) ?? []).map(([error, value]) => {
    if (error) throw error;
    return value as T;
  });
}

function retained(number: (name: string) => number | null): SourceRetention | null {
  const [held, budget] = [number('held_bytes'), number('budget_bytes')];
  if (held === null) return null;
  return {
    held_bytes: held,
    bytes_to_loss: number('bytes_to_loss'),
    seconds_to_loss: number('seconds_to_loss'),
    budget_bytes: budget,
    over_budget: budget !== null && held > budget,
  };
}

const round = (value: number, digits: number): number => Number(value.toFixed(digits));
