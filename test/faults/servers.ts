/** The servers of a scene, each behind a network of its own, and the product over them with one stream. */
import path from 'node:path';
import { startPostgres, startProxy, startRedis, tempDir, type Proxy } from '@planasonix/testing';
import { makeConnection, makePipeline, makeStream } from '../shop.js';
import { startStack, type Stack } from '../stack.js';
import { KafkaScene } from './kafka-scene.js';
import type { SceneOptions } from './scene.js';
import { mountSmallDisk, type SmallDisk } from './small-disk.js';
import { makeTables } from './tables.js';

export type Postgres = Awaited<ReturnType<typeof startPostgres>>;
export type RedisServer = Awaited<ReturnType<typeof startRedis>>;

export interface Network {
  readonly source: Proxy;
  readonly redis: Proxy;
  readonly store: Proxy;
}

export interface Servers {
  readonly source: Postgres;
  readonly store: Postgres;
  readonly redisServer: RedisServer;
  readonly network: Network;
  readonly disk: SmallDisk | null;
  readonly kafka: KafkaScene | null;
}

export interface Product {
  readonly stack: Stack;
  readonly crashFile: string;
  readonly connectionId: string;
  readonly pipelineId: string;
  readonly streamId: string;
}

/** With the tables of the battery at the source. */
export async function startServers(options: SceneOptions): Promise<Servers> {
  const disk = options.diskMib === undefined ? null : mountSmallDisk(options.diskMib);
  const [source, store, redisServer, kafka] = await Promise.all([
    startPostgres({
      ...(disk === null ? {} : { dir: disk.dir }),
      config: { wal_sender_timeout: '10s', max_wal_size: '1GB' },
    }),
    startPostgres(),
    startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always', '--maxmemory-policy', 'noeviction'] }),
    options.kafkaNodes === undefined ? null : KafkaScene.open(options.kafkaNodes),
  ]);
  const network: Network = {
    source: await startProxy({ targetPort: source.port }),
    redis: await startProxy({ targetPort: redisServer.port }),
    store: await startProxy({ targetPort: store.port }),
  };
  for (const [server, database] of [
    [source, 'src'],
    [store, 'meta'],
  ] as const) {
    const admin = await server.connect();
    await admin.query(`CREATE DATABASE ${database}`);
    await admin.end();
  }
  const client = await source.connect('src');
  await makeTables(client);
  await client.end();
  return { source, store, redisServer, network, disk, kafka };
}

export async function endServers({ source, store, redisServer, network, disk, kafka }: Servers): Promise<void> {
  await Promise.allSettled([
    kafka?.end(),
    redisServer.stop(),
    source.stop('immediate'),
    store.stop('immediate'),
    ...[network.source, network.redis, network.store].map((proxy) => proxy.stop()),
  ]);
  disk?.unmount();
}

export async function startProduct(
  { source, store, network, kafka }: Servers,
  options: SceneOptions,
): Promise<Product> {
  const crashFile = path.join(tempDir('crash'), 'at');
  const stack = await startStack({
    databaseUrl: store.url('meta').replace(`:${store.port}/`, `:${network.store.port}/`),
    redisUrl: `redis://127.0.0.1:${network.redis.port}`,
    env: { CRASH_FILE: crashFile, CONNECTORS: 'postgres-cdc', WORKERS: String(options.workers ?? 1), ...options.env },
  });
  const { host, port } = network.source;
  const connectionId = await makeConnection(stack, { host, port, password: source.password }, 'src');
  const pipelineId = await makePipeline(stack, 'battery', await outputOf(stack, kafka));
  const streamId = await makeStream(stack, {
    name: 'battery',
    connectionId,
    pipelineId,
    config: { tables: ['public.*'], heartbeat_interval: '2s' },
  });
  return { stack, crashFile, connectionId, pipelineId, streamId };
}

/** Large enough that nothing waits for room. */
export const IN_REDIS = { type: 'redis_stream', retention: { max_entries: 100_000_000, on_full: 'block' } };

/** Of the pipeline whose log is to be judged. */
export async function outputOf(stack: Stack, kafka: KafkaScene | null): Promise<object> {
  if (kafka === null) return IN_REDIS;
  const config = { brokers: kafka.brokers };
  const made = await stack.api('POST', '/api/connections', { name: 'log', type: 'kafka', config });
  if (made.status !== 201) throw new Error(`connection of the log: ${made.status} ${made.text}`);
  return kafka.output(made.id);
}
