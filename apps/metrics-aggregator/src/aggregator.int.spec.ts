import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { PATTERNS, type CounterReport, type Log } from '@planasonix/core';
import { MetricsStore } from '@planasonix/metrics';
import {
  MetricsSnapshotStore,
  openStore,
  PipelineStore,
  SecretBox,
  StreamStore,
  WorkspaceStore,
} from '@planasonix/store';
import { eventually, startPostgres, startProxy, startRedis } from '@planasonix/testing';
import type { DataSource } from 'typeorm';
import { boot } from './boot.js';
import { readAggregatorEnv } from './env.js';
import { Snapshots } from './snapshots.js';
import { StreamGauges } from './stream-gauges.js';
import { kafkaWire, redisWire, type Wire } from './wires-under-test.js';

const ENCRYPTION_KEY = Buffer.alloc(32, 1).toString('base64');
const quiet: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

describe.each([
  ['Redis', redisWire],
  ['Kafka', kafkaWire],
] as const)('the aggregator, with counters over %s', (wireName, wireOf) => {
  let postgres: Awaited<ReturnType<typeof startPostgres>>;
  let redis: Awaited<ReturnType<typeof startRedis>>;
  let store: DataSource;
  let wire: Wire;
  let metrics: MetricsStore;
  let makeStream: () => Promise<{ id: string; createdAt: Date }>;
  const apps: NestFastifyApplication[] = [];

  const start = async (redisUrl = redis.url) => {
    const app = await boot(
      readAggregatorEnv({
        NODE_ENV: 'test',
        LOG_LEVEL: 'silent',
        DATABASE_URL: postgres.url(),
        REDIS_URL: redisUrl,
        ENCRYPTION_KEY,
        ...wire.env,
      }),
    );
    apps.push(app);
    await subscribed(() => apps.length);
    return app;
  };
  const end = (app: NestFastifyApplication) => {
    apps.splice(apps.indexOf(app), 1);
    return app.close();
  };
  const subscribed = (count: () => number) => eventually('all aggregators listen', () => wire.listening(count()));

  const report = (id: string, of: Partial<CounterReport>): CounterReport => ({
    stream_id: id,
    source_type: 'postgres_cdc',
    epoch: 1,
    sequence: 1,
    at: Date.now(),
    total_events: 0,
    total_bytes: 0,
    errors: 0,
    rejected_events: 0,
    dropped_events: 0,
    latency: [],
    oldest_pending_at: null,
    lag_proved_at: Date.now(),
    last_event_at: Date.now(),
    backlog_bytes: null,
    ...of,
  });
  /** Events that the day's window holds: all of a stream that was made in this test. */
  const counted = async ({ id, createdAt }: { id: string; createdAt: Date }) => {
    const of = await metrics.window(id, '24h', createdAt);
    const age = Math.max(1, (Date.parse(of.computed_at) - createdAt.getTime()) / 1000);
    return { events: Math.round(of.events_per_second * age), total: of.total_events };
  };
  const countedAre = (stream: { id: string; createdAt: Date }, events: number) =>
    eventually(`${events} events are counted`, async () => {
      expect(await counted(stream)).toEqual({ events, total: events });
      return true;
    });

  beforeAll(async () => {
    [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
    store = await openStore(postgres.url(), { log: quiet });
    const workspaceId = (await new WorkspaceStore(store).create('w')).id;
    const actor = { workspaceId, keyId: null, address: null, requestId: null };
    const streams = new StreamStore(store, new SecretBox(ENCRYPTION_KEY));
    const pipeline = await new PipelineStore(store).create(actor, {
      name: 'p',
      output: { type: 'redis_stream' },
    });
    let n = 0;
    makeStream = async () => {
      const row = await streams.create(actor, {
        name: `s${++n}`,
        sourceType: 'postgres_cdc',
        pipelineId: pipeline.id,
        connectionId: null,
        config: {},
        secrets: null,
        ingestToken: null,
      });
      await store.query('UPDATE streams SET epoch = 1 WHERE id = $1', [row.id]);
      return { id: row.id, createdAt: row.created_at };
    };
    metrics = new MetricsStore(redis.client());
    wire = await wireOf(redis);
  });
  afterEach(async () => {
    await Promise.all(apps.splice(0).map((app) => app.close()));
  });
  afterAll(async () => {
    await wire?.stop();
    await store?.destroy();
    await Promise.all([postgres?.stop('immediate'), redis?.stop()]);
  });

  const send = (...reports: unknown[]) => wire.emitter.emit(PATTERNS.counters, reports);

  it('counts once what two aggregators hear, whatever is lost, repeated, late or reordered (trap 37)', async () => {
    // One after the other: each waits until it is counted among those that listen.
    await start();
    await start();
    const stream = await makeStream();
    const all = Array.from({ length: 40 }, (_, i) =>
      report(stream.id, { sequence: i + 1, total_events: (i + 1) * 5, total_bytes: 10 }),
    );
    for (const [i, one] of all.entries()) {
      if (i % 7 === 3) continue;
      await send(one);
      if (i % 5 === 0) await send(one, all[Math.floor(i / 2)]!);
    }
    await send(all.at(-1)!, all[0]!);
    await countedAre(stream, 200);
  });

  it('foreign, future, malformed and huge reports change nothing', async () => {
    await start();
    const stream = await makeStream();
    await send(report(stream.id, { total_events: 3 }));
    await countedAre(stream, 3);
    await send(
      report(stream.id, { epoch: 2, sequence: 9, total_events: 99 }),
      report(stream.id, { sequence: Number.MAX_SAFE_INTEGER, total_events: 99 }),
      report(stream.id, { sequence: 2, total_events: -1 }),
      { ...report(stream.id, { sequence: 3 }), total_events: '99' },
      report(`str_01${'z'.repeat(24)}`, { total_events: 5 }),
      null,
      'x',
    );
    await wire.emitter.emit(PATTERNS.counters, { not: 'a list' });
    await wire.emitter.emit(PATTERNS.counters, 'x'.repeat(1_000_000));
    await wire.raw('{broken');
    await send(report(stream.id, { sequence: 4, total_events: 4 }));
    await countedAre(stream, 4);
    expect(await redis.client().keys('plnx:metrics:*zzzz*')).toEqual([]);
  });

  it('takes a new epoch up as soon as the store knows it', async () => {
    await start();
    const stream = await makeStream();
    await send(report(stream.id, { total_events: 3 }));
    await countedAre(stream, 3);
    await store.query('UPDATE streams SET epoch = 2 WHERE id = $1', [stream.id]);
    let sequence = 0;
    await eventually('the epoch is taken up', async () => {
      await send(report(stream.id, { epoch: 2, sequence: ++sequence, total_events: 8, errors: 1 }));
      return (await counted(stream)).total === 8;
    });
    await send(report(stream.id, { sequence: 50, total_events: 77 }));
    await send(report(stream.id, { epoch: 2, sequence: ++sequence, total_events: 9, errors: 1 }));
    await countedAre(stream, 9);
  });

  it('a window outlives a restart of the aggregator, and nothing is missed while there is none', async () => {
    const first = await start();
    const stream = await makeStream();
    await send(report(stream.id, { sequence: 1, total_events: 10 }));
    await countedAre(stream, 10);
    await end(first);
    await subscribed(() => 0);
    await send(report(stream.id, { sequence: 2, total_events: 20 }));
    await start();
    await send(report(stream.id, { sequence: 2, total_events: 20 }));
    await send(report(stream.id, { sequence: 3, total_events: 30 }));
    await countedAre(stream, 30);
  });

  it('a crash of what carries them costs nothing but the time it is away', async () => {
    await start();
    const stream = await makeStream();
    await send(report(stream.id, { sequence: 1, total_events: 10 }));
    await countedAre(stream, 10);
    await wire.crash();
    await send(report(stream.id, { sequence: 2, total_events: 20 }));
    await wire.comeBack();
    let sequence = 2;
    await eventually('counting goes on', async () => {
      await send(report(stream.id, { sequence: ++sequence, total_events: 30 }));
      return (await counted(stream)).total === 30;
    });
    await countedAre(stream, 30);
  });

  // What follows does not depend on the way that they take.
  if (wireName !== 'Redis') return;

  it('counts on after the network has swallowed its connections to Redis without a word', async () => {
    const proxy = await startProxy({ targetPort: redis.port });
    try {
      await start(`redis://127.0.0.1:${proxy.port}`);
      const stream = await makeStream();
      await send(report(stream.id, { sequence: 1, total_events: 5 }));
      await countedAre(stream, 5);
      proxy.halfOpen();
      let sequence = 1;
      await eventually('reports are counted again', async () => {
        await send(report(stream.id, { sequence: ++sequence, total_events: 9 }));
        return (await counted(stream)).total === 9;
      });
    } finally {
      await proxy.stop();
    }
  });

  it('counts on while the store is away, and tells that it is not ready', async () => {
    const app = await start();
    const stream = await makeStream();
    await send(report(stream.id, { sequence: 1, total_events: 10 }));
    await countedAre(stream, 10);
    const ready = async () => (await fetch(`${await app.getUrl()}/health/ready`)).status;
    expect(await ready()).toBe(200);
    await postgres.kill();
    try {
      await send(report(stream.id, { sequence: 2, total_events: 20 }));
      await countedAre(stream, 20);
      expect(await ready()).toBe(503);
    } finally {
      await postgres.start();
    }
    await eventually('it is ready again', async () => (await ready()) === 200);
    const fresh = await makeStream();
    await eventually('a new stream is counted', async () => {
      await send(report(fresh.id, { sequence: 1, total_events: 4 }));
      return (await counted(fresh)).total === 4;
    });
  });

  it('keeps the last windows in the store; two that write at once do no harm, streams that are gone none either', async () => {
    const stream = await makeStream();
    await metrics.apply([report(stream.id, { total_events: 6 })], () => stream.createdAt);
    const kept = new MetricsSnapshotStore(store);
    const census = {
      streamsWithin: () =>
        [stream, { id: `str_01${'y'.repeat(24)}`, createdAt: new Date() }].map(
          ({ id, createdAt }) => [id, { epoch: 1, createdAt }] as const,
        ),
    };
    const gauges = new StreamGauges();
    const [one, two] = [new Snapshots(metrics, census, kept, gauges), new Snapshots(metrics, census, kept, gauges)];
    await Promise.all([one.write(), two.write(), one.write()]);
    const row = (await kept.get(stream.id))!;
    expect(row.windows).toMatchObject({
      '1m': { total_events: 6, window: '1m' },
      '24h': { total_events: 6, window: '24h' },
    });
    const older = new Snapshots(metrics, census, kept, gauges, () => row.computed_at.getTime() - 1000);
    await older.write();
    expect((await kept.get(stream.id))!.computed_at).toEqual(row.computed_at);
  });
});
