/** The servers of a scene, each behind a network of its own, and the product over them with one stream. */
import path from 'node:path';
import { startPostgres, startProxy, startRedis, tempDir, type Proxy } from '@planasonix/testing';
import { makePipeline } from '../shop.js';
import { startStack, type Stack } from '../stack.js';
import { KafkaScene } from './kafka-scene.js';
import { MySqlOrigin } from './mysql-origin.js';
import type { Origin, SourceForm } from './origin.js';
import { PostgresOrigin, type Postgres } from './postgres-origin.js';
import type { SceneOptions } from './scene.js';
import { mountSmallDisk, type SmallDisk } from './small-disk.js';

export type { Postgres };
export type RedisServer = Awaited<ReturnType<typeof startRedis>>;

export interface Network {
  readonly source: Proxy;
  readonly redis: Proxy;
  readonly store: Proxy;
}

export interface Servers {
  /** What is read. */
  readonly origin: Origin;
  readonly store: Postgres;
  readonly redisServer: RedisServer;
  readonly network: Network;
  readonly disk: SmallDisk | null;
  readonly kafka: KafkaScene | null;
}

export interface Product {
  readonly stack: Stack;
  readonly crashFile: string;
  readonly pipelineId: string;
  readonly streamId: string;
  /** Another stream of the same connection. @returns its id */
  readonly makeStream: (name: string, tables: readonly string[]) => Promise<string>;
}

/** With the tables of the battery at the source. */
export async function startServers(options: SceneOptions): Promise<Servers> {
  const disk = options.diskMib === undefined ? null : mountSmallDisk(options.diskMib);
  const [origin, store, redisServer, kafka] = await Promise.all([
    options.source === undefined ? PostgresOrigin.start(disk?.dir) : MySqlOrigin.start(options.source),
    startPostgres(),
    startRedis({ mends: options.redisAsLeft !== true }),
    options.kafkaNodes === undefined ? null : KafkaScene.open(options.kafkaNodes),
  ]);
  const network: Network = {
    source: await startProxy({ targetPort: origin.port }),
    redis: await startProxy({ targetPort: redisServer.port }),
    store: await startProxy({ targetPort: store.port }),
  };
  const admin = await store.connect();
  await admin.query('CREATE DATABASE meta');
  await admin.end();
  await origin.makeTables();
  return { origin, store, redisServer, network, disk, kafka };
}

export async function endServers({ origin, store, redisServer, network, disk, kafka }: Servers): Promise<void> {
  await Promise.allSettled([
    kafka?.end(),
    redisServer.stop(),
    origin.stop(),
    store.stop('immediate'),
    ...[network.source, network.redis, network.store].map((proxy) => proxy.stop()),
  ]);
  disk?.unmount();
}

export async function startProduct(
  { origin, store, network, kafka }: Servers,
  options: SceneOptions,
): Promise<Product> {
  const crashFile = path.join(tempDir('crash'), 'at');
  const stack = await startStack({
    databaseUrl: store.url('meta').replace(`:${store.port}/`, `:${network.store.port}/`),
    redisUrl: `redis://127.0.0.1:${network.redis.port}`,
    env: { CRASH_FILE: crashFile, CONNECTORS: origin.app, WORKERS: String(options.workers ?? 1), ...options.env },
  });
  const form = origin.form(network.source.port);
  const connectionId = await made(stack, '/api/connections', { name: 'source', ...form.connection });
  const pipelineId = await makePipeline(stack, 'battery', await outputOf(stack, kafka));
  const makeStream = (name: string, tables: readonly string[]): Promise<string> =>
    made(stack, '/api/streams', streamOf(form, { name, connectionId, pipelineId }, tables));
  return { stack, crashFile, pipelineId, streamId: await makeStream('battery', ['public.*']), makeStream };
}

const streamOf = ({ sourceType, streamConfig }: SourceForm, named: object, tables: readonly string[]): object => ({
  ...named,
  sourceType,
  config: streamConfig(tables),
});

/** @returns its id */
async function made(stack: Stack, route: string, body: object): Promise<string> {
  const answer = await stack.api('POST', route, body);
  if (answer.status !== 201) throw new Error(`POST ${route}: ${answer.status} ${answer.text}`);
  return answer.id;
}

/** Large enough that nothing waits for room. */
export const IN_REDIS = { type: 'redis_stream', retention: { max_entries: 100_000_000, on_full: 'block' } };

/** Of the pipeline whose log is to be judged. */
export async function outputOf(stack: Stack, kafka: KafkaScene | null): Promise<object> {
  if (kafka === null) return IN_REDIS;
  const config = { brokers: kafka.brokers };
  const id = await made(stack, '/api/connections', { name: 'log', type: 'kafka', config });
  return kafka.output(id);
}
