import type { CounterReport } from '@planasonix/core';
import { startRedis } from '@planasonix/testing';
import fc from 'fast-check';
import { SPANS, WINDOWS, type MetricsWindow } from './keys.js';
import { MetricsStore } from './metrics-store.js';

jest.setTimeout(120_000);

/** What happened between two reports: so much, at an even rate. Times in seconds. */
interface Segment {
  readonly from: number;
  readonly to: number;
  readonly amount: number;
}

/** The rules of the README in plain words: no buckets, no Redis. */
class Oracle {
  readonly events: Segment[] = [];
  readonly failures: Segment[] = [];
  private last: CounterReport | null = null;
  private seenAt: number;

  constructor(private readonly createdAt: number) {
    this.seenAt = createdAt;
  }

  take(report: CounterReport, now: number): void {
    const { last } = this;
    if (last && (report.epoch < last.epoch || (report.epoch === last.epoch && report.sequence <= last.sequence)))
      return;
    const same = last?.epoch === report.epoch;
    const begun = same ? this.seenAt : Math.max(this.seenAt, now - report.sequence);
    const allOfIt = last === null && report.epoch > 1;
    if (!(allOfIt && now - this.createdAt > 86_400))
      this.events.push({
        from: allOfIt ? this.createdAt : begun,
        to: now,
        amount: report.total_events - (last?.total_events ?? 0),
      });
    this.failures.push({ from: begun, to: now, amount: report.errors - (same ? last.errors : 0) });
    [this.last, this.seenAt] = [report, now];
  }
}

/** How much of `segments` lies between two times. */
const between = (segments: readonly Segment[], from: number, to: number): number =>
  segments.reduce((sum, one) => {
    if (one.to === one.from) return sum + (one.to > from && one.to <= to ? one.amount : 0);
    const overlap = Math.min(to, one.to) - Math.max(from, one.from);
    return overlap <= 0 ? sum : sum + (one.amount * overlap) / (one.to - one.from);
  }, 0);

const step = fc.record({
  /** Seconds until the next report is due: mostly one, sometimes an outage. */
  dt: fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(1, 1.013, 0.4) },
    { weight: 2, arbitrary: fc.integer({ min: 2, max: 400 }) },
    { weight: 1, arbitrary: fc.integer({ min: 400, max: 40_000 }) },
  ),
  gain: fc.oneof(fc.nat(20), fc.nat(100_000)),
  errors: fc.nat(3),
  restart: fc.boolean().map((yes) => yes),
  delivery: fc.constantFrom('once', 'once', 'once', 'twice', 'lost', 'late'),
});

describe('windows against an oracle without buckets', () => {
  let server: Awaited<ReturnType<typeof startRedis>>;
  let now = 0;
  let stores: readonly MetricsStore[];
  let n = 0;
  beforeAll(async () => {
    server = await startRedis();
    stores = [new MetricsStore(server.client(), () => now * 1000), new MetricsStore(server.client(), () => now * 1000)];
  });
  afterAll(() => server?.stop());

  const check = async (id: string, oracle: Oracle, created: number, window: MetricsWindow): Promise<void> => {
    const { seconds, bucket } = SPANS[window];
    const of = await stores[n % 2]!.window(id, window, new Date(created * 1000));
    const age = Math.max(1, Math.min(seconds, now - created));
    const begins = Math.floor((now - seconds) / bucket) * bucket;
    for (const [got, segments] of [
      [of.events_per_second * age, oracle.events],
      [(of.error_rate_per_minute * age) / 60, oracle.failures],
    ] as const) {
      // The bucket that the window cuts counts by its share: so much can that be wrong. And a half per rounding.
      const slack = between(segments, begins - bucket / 1000, begins + bucket) + segments.length + 1;
      expect(Math.abs(got - between(segments, now - seconds, now))).toBeLessThanOrEqual(slack);
    }
  };

  it('are right over outages, restarts, lost, repeated and late reports, at two aggregators (trap 37)', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 25 }),
        fc.constantFrom(0, 3, 50_000, 200_000),
        async (steps, ageAtStart) => {
          const id = `str_${++n}`;
          const created = 1_700_000_000 + n * 7.7;
          now = created + ageAtStart;
          const oracle = new Oracle(created);
          let [epoch, sequence, total, errors] = [1, 0, 0, 0];
          const late: CounterReport[] = [];
          for (const of of steps) {
            if (of.restart && sequence > 3) [epoch, sequence, errors] = [epoch + 1, 0, 0];
            now += of.dt;
            sequence += Math.max(1, Math.floor(of.dt));
            total += of.gain;
            errors += of.errors;
            const report: CounterReport = {
              stream_id: id,
              source_type: 'x',
              at: now * 1000,
              epoch,
              sequence,
              total_events: total,
              total_bytes: total * 100,
              errors,
              rejected_events: 0,
              dropped_events: 0,
              latency: [],
              oldest_pending_at: null,
              lag_proved_at: null,
              last_event_at: null,
              backlog_bytes: null,
            };
            if (of.delivery === 'lost') continue;
            if (of.delivery === 'late') {
              late.push(report);
              continue;
            }
            const send = [report, ...(of.delivery === 'twice' ? [report, ...late.splice(0)] : [])];
            for (const one of send) {
              oracle.take(one, now);
              for (const store of stores) await store.apply([one], () => new Date(created * 1000));
            }
            for (const window of WINDOWS) await check(id, oracle, created, window);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('a window that holds the whole life of a stream holds every event, exactly', async () => {
    const id = 'str_whole';
    const created = 1_800_000_003.3;
    now = created;
    let total = 0;
    for (const [sequence, dt, gain] of [
      [1, 1, 7],
      [2, 1, 1],
      [3, 613.7, 99_991],
      [617, 1, 3],
      [618, 7000.1, 10_007],
      [7618, 1, 1],
    ] as const) {
      now += dt;
      total += gain;
      await stores[0]!.apply(
        [
          {
            stream_id: id,
            source_type: 'x',
            at: 0,
            epoch: 1,
            sequence,
            total_events: total,
            total_bytes: total * 1e6,
            errors: 0,
            rejected_events: 0,
            dropped_events: 0,
            latency: [],
            oldest_pending_at: null,
            lag_proved_at: null,
            last_event_at: null,
            backlog_bytes: null,
          },
        ],
        () => new Date(created * 1000),
      );
      const of = await stores[0]!.window(id, '24h', new Date(created * 1000));
      const age = Math.max(1, now - created);
      expect(Math.round(of.events_per_second * age)).toBe(total);
      expect((of.bytes_per_second * age) / (total * 1e6)).toBeCloseTo(1, 6);
      expect(of.total_events).toBe(total);
    }
  });
});
