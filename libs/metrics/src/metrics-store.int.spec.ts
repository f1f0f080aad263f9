import type { CounterReport } from '@planasonix/core';
import { latencyBucket } from '@planasonix/core';
import { startRedis } from '@planasonix/testing';
import fc from 'fast-check';
import { MetricsStore } from './metrics-store.js';

const report = (of: Partial<CounterReport>): CounterReport => ({
  stream_id: 'str_a',
  source_type: 'postgres_cdc',
  epoch: 1,
  sequence: 1,
  at: 0,
  total_events: 0,
  total_bytes: 0,
  errors: 0,
  rejected_events: 0,
  dropped_events: 0,
  latency: [],
  oldest_pending_at: null,
  lag_proved_at: null,
  last_event_at: null,
  backlog_bytes: null,
  ...of,
});

describe('windows over absolute counters', () => {
  let server: Awaited<ReturnType<typeof startRedis>>;
  let one: MetricsStore;
  let two: MetricsStore;
  let n = 0;
  const fresh = () => `str_${++n}`;
  beforeAll(async () => {
    server = await startRedis();
    one = new MetricsStore(server.client());
    two = new MetricsStore(server.client());
  });
  afterAll(() => server?.stop());

  it('tells what the source keeps, as of the last report, and nothing that was seen long ago', async () => {
    let now = Date.now();
    const store = new MetricsStore(server.client(), () => now);
    const id = fresh();
    const kept = async () => (await store.window(id, '1m', new Date(now - 60_000))).source_retention;
    const latency: [number, number][] = [[latencyBucket(5), 3]];
    // As workers say it that do not know of this yet.
    await store.apply([report({ stream_id: id, total_events: 3, latency })]);
    expect(await kept()).toBeNull();
    const of = { held_bytes: 700, bytes_to_loss: 300, seconds_to_loss: 30, budget_bytes: 699 };
    await store.apply([report({ stream_id: id, sequence: 2, total_events: 3, latency, ...of })]);
    expect(await kept()).toEqual({ ...of, over_budget: true });
    const { latency_ms, total_events } = await store.window(id, '1m', new Date(now - 60_000));
    expect([latency_ms.p50, total_events]).toEqual([expect.any(Number), 3]);
    const unbound = { held_bytes: 0, bytes_to_loss: null, seconds_to_loss: null, budget_bytes: null };
    await store.apply([report({ stream_id: id, sequence: 3, total_events: 3, ...unbound })]);
    expect(await kept()).toEqual({ ...unbound, over_budget: false });
    now += 61_000;
    expect(await kept()).toBeNull();
  });

  const counted = async (id: string) => {
    const created = new Date(Date.now() - 60_000);
    const of = await one.window(id, '1m', created);
    return { events: Math.round(of.events_per_second * 60), total: of.total_events };
  };

  it('counts each event once, whatever is lost, repeated, late or reordered, at two aggregators at once (trap 37)', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ gain: fc.nat(50), restart: fc.boolean(), lost: fc.boolean() }), {
          minLength: 1,
          maxLength: 12,
        }),
        fc.infiniteStream(fc.nat(1000)),
        async (steps, random) => {
          const id = fresh();
          let [total, epoch, sequence] = [0, 1, 0];
          const sent: CounterReport[] = [];
          for (const { gain, restart, lost } of steps) {
            if (restart) [epoch, sequence] = [epoch + 1, 0];
            total += gain;
            sequence++;
            if (!lost)
              sent.push(report({ stream_id: id, epoch, sequence, total_events: total, total_bytes: total * 10 }));
          }
          sent.push(
            report({ stream_id: id, epoch, sequence: sequence + 1, total_events: total, total_bytes: total * 10 }),
          );
          for (const of of sent) {
            await Promise.all([one.apply([of]), two.apply([of])]);
            const again = sent[random.next().value! % sent.length]!;
            if (sent.indexOf(again) <= sent.indexOf(of)) await two.apply([again]);
          }
          expect(await counted(id)).toEqual({ events: total, total });
        },
      ),
      { numRuns: 40 },
    );
  });

  it('errors, rejected and latency count within an epoch and add up over epochs', async () => {
    const id = fresh();
    const fast = latencyBucket(2);
    await one.apply([
      report({ stream_id: id, errors: 3, rejected_events: 1, total_events: 10, latency: [[fast, 10]] }),
    ]);
    await one.apply([
      report({
        stream_id: id,
        epoch: 2,
        errors: 2,
        rejected_events: 1,
        total_events: 12,
        latency: [
          [fast, 2],
          [latencyBucket(500), 1],
        ],
      }),
    ]);
    const of = await one.window(id, '1m', new Date(Date.now() - 60_000));
    expect(of.error_rate_per_minute).toBeCloseTo(7, 5);
    expect(of.rejected_events).toBe(2);
    expect(of.latency_ms.p50! / 2).toBeCloseTo(1, 1);
    expect(of.latency_ms.p99! / 500).toBeCloseTo(1, 1);
  });

  it('divides a young stream by its age, and forgets what has left the window', async () => {
    const id = fresh();
    const at = Date.now();
    await one.apply([report({ stream_id: id, total_events: 100 })]);
    const now = new MetricsStore(server.client(), () => at);
    expect((await now.window(id, '24h', new Date(at - 10_000))).events_per_second).toBeCloseTo(10, 0);
    const later = new MetricsStore(server.client(), () => at + 70_000);
    expect((await later.window(id, '1m', new Date(at - 3_600_000))).events_per_second).toBe(0);
    expect((await later.window(id, '5m', new Date(at - 3_600_000))).events_per_second).toBeCloseTo(100 / 300, 1);
  });

  it('lag grows at reading, also when nobody reports any more, and says when it is not certain', async () => {
    const id = fresh();
    const at = Date.now();
    await one.apply([report({ stream_id: id, oldest_pending_at: at - 5000, lag_proved_at: at })]);
    expect(await one.window(id, '1m', new Date(0))).toMatchObject({ lag_certain: true });
    const later = new MetricsStore(server.client(), () => at + 60_000);
    const of = await later.window(id, '1m', new Date(0));
    expect(of.lag_seconds).toBeCloseTo(65, 0);
    expect(of.lag_certain).toBe(false);
    await one.apply([report({ stream_id: id, sequence: 2, oldest_pending_at: null, lag_proved_at: at })]);
    expect((await later.window(id, '1m', new Date(0))).lag_seconds).toBe(0);
  });

  it('a busy stream has the lag of the report, not the age of the report on top of it', async () => {
    const id = fresh();
    const at = Date.now();
    let now = at;
    const store = new MetricsStore(server.client(), () => now);
    await store.apply([report({ stream_id: id, oldest_pending_at: at - 4, lag_proved_at: at })]);
    now = at + 900;
    expect((await store.window(id, '1m', new Date(0))).lag_seconds).toBeCloseTo(0.004, 2);
    now = at + 5000;
    expect((await store.window(id, '1m', new Date(0))).lag_seconds).toBeCloseTo(5.004, 2);
  });

  it('sums the last minute over streams', async () => {
    const [a, b] = [fresh(), fresh()];
    await one.apply([report({ stream_id: a, total_events: 7 }), report({ stream_id: b, total_events: 5 })]);
    expect(await one.eventsPerMinute([a, b, 'str_none'])).toBe(12);
  });

  it('an outage of the aggregator is no spike: what was gained is spread over the time since the last report', async () => {
    const id = fresh();
    let at = 1_900_000_000_000;
    const store = new MetricsStore(server.client(), () => at);
    await store.apply([report({ stream_id: id, sequence: 1, total_events: 0 })]);
    at += 600_000;
    await store.apply([report({ stream_id: id, sequence: 601, total_events: 60_000 })]);
    const created = new Date(at - 3_600_000);
    expect((await store.window(id, '1m', created)).events_per_second).toBeCloseTo(100, 0);
    expect((await store.window(id, '5m', created)).events_per_second).toBeCloseTo(100, 0);
    expect((await store.window(id, '1h', created)).events_per_second * 3600).toBeCloseTo(60_000, 0);
  });

  it('a stream that was down has its first events where they were: in the new epoch, not over the time it was down', async () => {
    const id = fresh();
    let at = 1_900_000_000_000;
    const store = new MetricsStore(server.client(), () => at);
    await store.apply([report({ stream_id: id, sequence: 1, total_events: 10 })]);
    at += 600_000;
    await store.apply([report({ stream_id: id, epoch: 2, sequence: 2, total_events: 6010, errors: 2 })]);
    const of = await store.window(id, '1m', new Date(at - 3_600_000));
    expect(of.events_per_second * 60).toBeCloseTo(6000, 0);
    expect(of.error_rate_per_minute).toBeCloseTo(2, 5);
  });

  describe('without a last report', () => {
    const at = 1_900_000_000_000;
    const events = async (of: Partial<CounterReport>, ageSeconds: number, window: '1m' | '24h') => {
      const id = fresh();
      const created = new Date(at - ageSeconds * 1000);
      const store = new MetricsStore(server.client(), () => at);
      await store.apply([report({ stream_id: id, total_events: 1000, ...of })], () => created);
      const got = await store.window(id, window, created);
      expect(got.total_events).toBe(1000);
      return Math.round(got.events_per_second * Math.min(ageSeconds, window === '1m' ? 60 : 86_400));
    };
    it('a new stream misses nothing, however late its first report is', async () => {
      expect(await events({ sequence: 2 }, 10, '1m')).toBe(1000);
      expect(await events({ sequence: 2 }, 100_000, '1m')).toBe(1000);
      expect(await events({ sequence: 500 }, 600, '24h')).toBe(1000);
      expect(await events({ sequence: 600 }, 600, '1m')).toBe(100);
    });
    it('a young stream with earlier epochs has all of its life in the day', async () => {
      expect(await events({ epoch: 5, sequence: 2 }, 7200, '24h')).toBe(1000);
    });
    it('the past of an old stream is not made up: the report is a base', async () => {
      expect(await events({ epoch: 5, sequence: 2 }, 1_000_000, '24h')).toBe(0);
    });
  });

  it('a log that began anew counts from there', async () => {
    const id = fresh();
    await one.apply([report({ stream_id: id, total_events: 100 })]);
    await one.apply([report({ stream_id: id, epoch: 2, total_events: 3 })]);
    expect(await counted(id)).toEqual({ events: 103, total: 3 });
  });

  it('the newest event stays the newest, and a proof from the future proves nothing', async () => {
    const id = fresh();
    const ahead = Date.now() + 600_000;
    await one.apply([report({ stream_id: id, last_event_at: 2000, lag_proved_at: ahead })]);
    await one.apply([report({ stream_id: id, epoch: 2, last_event_at: null, lag_proved_at: ahead })]);
    await one.apply([report({ stream_id: id, epoch: 2, sequence: 2, last_event_at: 1000, lag_proved_at: ahead })]);
    expect(await one.window(id, '1m', new Date(0))).toMatchObject({
      last_event_at: '1970-01-01T00:00:02.000Z',
      lag_certain: false,
    });
  });

  it('everything has an end, and nothing is left of a stream that is forgotten', async () => {
    const id = fresh();
    const redis = server.client();
    const created = new Date(Date.now() - 3_000_000);
    await one.apply(
      [report({ stream_id: id, sequence: 9_999_999, total_events: 1e6, errors: 9, latency: [[3, 4]] })],
      () => created,
    );
    const keys = await redis.keys(`*{${id}}*`);
    expect(keys.length).toBeGreaterThan(100);
    for (const key of keys) expect(await redis.ttl(key)).toBeGreaterThan(0);
    await one.forget(id);
    expect(await redis.keys(`*{${id}}*`)).toEqual([]);
  });

  it('windows outlive a crash of Redis, and counting goes on (SIGKILL)', async () => {
    const id = fresh();
    await one.apply([report({ stream_id: id, total_events: 40 })]);
    await server.kill();
    const lost = one.apply([report({ stream_id: id, sequence: 2, total_events: 45 })]).catch(() => 0);
    await server.start();
    await lost;
    await one.apply([report({ stream_id: id, sequence: 3, total_events: 50 })]);
    expect(await counted(id)).toEqual({ events: 50, total: 50 });
  });
});
