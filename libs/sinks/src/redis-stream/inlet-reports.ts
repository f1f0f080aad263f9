import { randomBytes } from 'node:crypto';
import type { Clock, InletReport, InletTotals } from '@planasonix/core';
import type { Redis, Result } from 'ioredis';
import { REPORT_INLET } from './inlet-scripts.js';
import { answersKey, countsKey, failuresKey, reportKey } from './keys.js';

declare module 'ioredis' {
  interface RedisCommander<Context> {
    plnxReportInlet(...args: (string | number)[]): Result<(string | null)[] | number, Context>;
  }
}

const AGAIN_MS = 50;
/** A writer that has said nothing for so long holds nothing that is pending. */
const PENDING_MS = 5_000;
/** Of a stream, and as many failures. */
const ANSWERS_KEPT = 200;
const COUNTS_KEPT_S = 90 * 86_400;
/** Answers about a stream whose log is not this epoch's: it may have been purged meanwhile. */
const UNRULED_KEPT_S = 7 * 86_400;

/** What many writers count, added up in Redis beside what is known of the log there. */
export class InletReports {
  readonly #writer = randomBytes(6).toString('base64url');
  #reports = 0;

  /**
   * @param head the hash with `epoch`, `events`, `bytes`, `last` and `trimmed` of the log
   * @param run failures of Redis as those of the log
   */
  constructor(
    redis: Redis,
    private readonly clock: Clock,
    private readonly head: (streamId: string) => string,
    private readonly run: <T>(use: (redis: Redis) => Promise<T>) => Promise<T>,
  ) {
    redis.defineCommand('plnxReportInlet', { lua: REPORT_INLET, numberOfKeys: 5 });
  }

  /** `null`: another epoch rules there, or none; its answers are kept, its counts are not. @param signal ends the wait before it is sent once more */
  async report(report: InletReport, signal: AbortSignal): Promise<InletTotals | null> {
    const { streamId, epoch, counts, answers, failures } = report;
    const gains: (string | number)[] = [];
    for (const name of ['errors', 'rejected', 'dropped'] as const) if (counts[name] > 0) gains.push(name, counts[name]);
    for (const [bucket, count] of counts.latency) gains.push(`l${bucket}`, count);
    const number = ++this.#reports;
    const send = (redis: Redis) =>
      redis.plnxReportInlet(
        ...[this.head(streamId), countsKey(streamId), reportKey(streamId, this.#writer)],
        ...[answersKey(streamId), failuresKey(streamId)],
        ...[epoch, number, this.#writer, report.oldestPendingAt ?? '', this.clock.now(), PENDING_MS],
        ...[ANSWERS_KEPT, COUNTS_KEPT_S, UNRULED_KEPT_S],
        ...[answers.length, failures.length, ...answers, ...failures, ...gains],
      );
    // Numbered: sent once more where its fate is not known, it counts once.
    const found = await this.run(send).catch(async () => {
      await this.clock.sleep(AGAIN_MS, signal);
      return this.run(send);
    });
    return Array.isArray(found) ? totalsOf(found) : null;
  }
}

/** What all writers told of: answers, then failures. Those of a version before failures lay apart are among the answers. */
export async function answersOf(redis: Redis, streamId: string): Promise<readonly string[]> {
  const lists = [answersKey(streamId), failuresKey(streamId)].map((key) => redis.lrange(key, 0, -1));
  return (await Promise.all(lists)).flat();
}

/** The keys of all that is counted and told of a stream. */
export const reportKeys = (streamId: string): readonly string[] =>
  [countsKey, answersKey, failuresKey].map((keyOf) => keyOf(streamId));

function totalsOf([events, bytes, last, trimmed, oldest, ...flat]: readonly (string | null)[]): InletTotals {
  const fields = new Map<string, string>();
  for (let i = 0; i + 1 < flat.length; i += 2) fields.set(flat[i]!, flat[i + 1]!);
  const count = (name: string): number => Number(fields.get(`c:${name}`) ?? 0);
  return {
    sequence: Number(fields.get('sequence')),
    events: Number(events),
    bytes: Number(bytes),
    lastEventAt: last === '' || last === '0' ? null : Number(last),
    errors: count('errors'),
    rejected: count('rejected'),
    dropped: count('dropped') + Math.max(0, Number(trimmed) - Number(fields.get('trimmed') ?? 0)),
    latency: [...fields]
      .filter(([name]) => name.startsWith('c:l'))
      .map(([name, value]) => [Number(name.slice(3)), Number(value)] as const),
    oldestPendingAt: oldest === '' ? null : Number(oldest),
  };
}
