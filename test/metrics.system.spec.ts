import { eventually } from '@planasonix/testing';
import { peakMiB } from './bench/measure.js';
import { makeStream, start } from './shop.js';
import { makeWorld, type World } from './world.js';

jest.setTimeout(300_000);

describe('metrics against the truth', () => {
  let world: World;
  let id: string;
  const metrics = async (window = '1m') =>
    (await world.stack.api('GET', `/api/streams/${id}/metrics?window=${window}`)).a;

  beforeAll(async () => {
    world = await makeWorld();
    await world.source.query('CREATE TABLE orders(id bigint PRIMARY KEY, v text)');
    id = await makeStream(world.stack, {
      name: 'orders',
      connectionId: world.connectionId,
      pipelineId: world.pipelineId,
      config: { tables: ['public.orders'] },
    });
    await start(world.stack, id);
  });
  afterAll(() => world?.end());

  it('counts each event once, in every window, over a restart of the aggregator', async () => {
    await world.source.query("INSERT INTO orders SELECT i, 'x' FROM generate_series(1, 500) i");
    await eventually('all are counted', async () => (await metrics()).total_events === 500);
    for (const pid of world.stack.pids('metrics-aggregator')) process.kill(pid, 'SIGKILL');
    await world.source.query("INSERT INTO orders SELECT i, 'x' FROM generate_series(501, 1000) i");
    await eventually('all are counted', async () => (await metrics()).total_events === 1000, { timeoutMs: 60_000 });
    const { a } = await world.stack.api('GET', `/api/streams/${id}`);
    await eventually('the windows hold a thousand', async () => {
      for (const window of ['5m', '1h', '24h']) {
        const of = await metrics(window);
        const age = Math.min(
          { '5m': 300, '1h': 3600, '24h': 86400 }[window]!,
          (Date.parse(of.computed_at) - Date.parse(a.created_at)) / 1000,
        );
        const events = of.events_per_second * age;
        if (Math.abs(events - 1000) > 60) return false;
      }
      return true;
    });
    expect(await metrics()).toMatchObject({
      rejected_events: 0,
      dropped_events: 0,
      latency_ms: { p50: expect.any(Number), p99: expect.any(Number) },
    });
  });

  it('lag is 0 and certain on an idle source, although other databases write', async () => {
    const other = await world.sourceServer.connect('postgres');
    await other.query('CREATE TABLE noise(v text)');
    await other.query('INSERT INTO noise SELECT md5(i::text) FROM generate_series(1, 20000) i');
    await other.end();
    await eventually(
      '0 and certain',
      async () => {
        const of = await metrics();
        return of.lag_seconds === 0 && of.lag_certain === true;
      },
      { timeoutMs: 90_000 },
    );
  });

  for (const [verb, back] of [
    ['pause', 'resume'],
    ['stop', 'start'],
  ] as const)
    it(`lag grows while a stream is ${verb === 'pause' ? 'paused' : 'stopped'}, and is the age of the oldest commit that is not in the log`, async () => {
      await world.stack.api('POST', `/api/streams/${id}/${verb}`);
      expect((await metrics()).lag_seconds).toBeLessThan(1);
      const before = Date.now();
      await world.source.query('UPDATE orders SET v = $1 WHERE id = 1', [verb]);
      const after = Date.now();
      await world.source.query('UPDATE orders SET v = $1 WHERE id = 2', [verb]);
      const first = await eventually(
        'the lag is seen',
        async () => {
          const of = await metrics();
          return of.lag_seconds > 0 && of;
        },
        { timeoutMs: 60_000 },
      );
      /** It was committed between the two moments. */
      const expectAge = (of: { computed_at: string; lag_seconds: number }) => {
        expect(of.lag_seconds).toBeLessThan((Date.parse(of.computed_at) - before) / 1000 + 1);
        expect(of.lag_seconds).toBeGreaterThan((Date.parse(of.computed_at) - after) / 1000 - 1);
      };
      expectAge(first);
      const later = await eventually('it grows', async () => {
        const of = await metrics();
        return of.lag_seconds > first.lag_seconds + 2 && of;
      });
      expectAge(later);
      await world.stack.api('POST', `/api/streams/${id}/${back}`);
      await eventually('it is caught up', async () => (await metrics()).lag_seconds === 0);
    });

  it('a transaction of 200,000 rows needs no memory of its size (trap 17)', async () => {
    const before = (await metrics()).total_events as number;
    await world.source.query('INSERT INTO orders SELECT i, md5(i::text) FROM generate_series(10001, 210000) i');
    const all = async () => (await metrics()).total_events === before + 200_000;
    await eventually('all of it is in the log', all, { timeoutMs: 60_000 });
    const peaks = world.stack.pids('postgres-cdc').map(peakMiB);
    expect(Math.max(...peaks)).toBeLessThan(256);
    expect(Math.min(...peaks)).toBeGreaterThan(0);
  });

  it('the summary adds up', async () => {
    const { attributes } = (await world.stack.api('GET', '/api/streams/summary')).json.data;
    expect(attributes.total).toBe(1);
    expect(attributes.by_status).toEqual({ created: 0, starting: 0, running: 1, paused: 0, stopped: 0, error: 0 });
    expect(attributes.approx_events_per_minute).toBeGreaterThan(0);
  });
});
