/** The servers of `kafka-source`, and the product over them with one stream that two workers read. */
import path from 'node:path';
import { createTopics, startPostgres, startRedis, tempDir } from '@planasonix/testing';
import { makePipeline } from '../shop.js';
import { startStack, type Answer, type Stack } from '../stack.js';
import { KafkaScene } from './kafka-scene.js';
import { IN_REDIS, type Postgres, type RedisServer } from './servers.js';

/** Faults with the same ones share a scene. */
export interface TopicWishes {
  readonly nodes: 1 | 3;
  /** Where the log is; in Kafka it is in the same cluster. */
  readonly log: 'redis' | 'kafka';
}

/** Topics and their partitions. */
export const TOPICS: readonly (readonly [topic: string, partitions: number])[] = [
  ['orders', 3],
  ['payments', 2],
];
export const APP = 'kafka-ingest';

export interface TopicServers {
  readonly store: Postgres;
  readonly redisServer: RedisServer;
  readonly kafka: KafkaScene;
}

export interface TopicProduct {
  readonly stack: Stack;
  readonly crashFile: string;
  readonly connectionId: string;
  readonly pipelineId: string;
  readonly streamId: string;
}

export async function startServers({ nodes }: TopicWishes): Promise<TopicServers> {
  const [store, redisServer, kafka] = await Promise.all([
    startPostgres(),
    startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always', '--maxmemory-policy', 'noeviction'] }),
    KafkaScene.open(nodes),
  ]);
  await createTopics(
    kafka.admin,
    TOPICS.map(([topic, numPartitions]) => ({ topic, numPartitions })),
  );
  return { store, redisServer, kafka };
}

export async function endServers({ store, redisServer, kafka }: TopicServers): Promise<void> {
  await Promise.allSettled([redisServer.stop(), store.stop('immediate'), kafka.end()]);
}

export async function startProduct(servers: TopicServers, { log }: TopicWishes): Promise<TopicProduct> {
  const { store, redisServer, kafka } = servers;
  const crashFile = path.join(tempDir('crash'), 'at');
  const env = { CRASH_FILE: crashFile, CONNECTORS: APP, WORKERS: '2' };
  const stack = await startStack({ databaseUrl: store.adminUrl, redisUrl: redisServer.url, env });
  try {
    const config = { brokers: kafka.brokers };
    const { id: connectionId } = await made(stack, '/api/connections', { name: 'cluster', type: 'kafka', config });
    const pipelineId = await makePipeline(stack, 'battery', log === 'kafka' ? kafka.output(connectionId) : IN_REDIS);
    const streamId = await makeStream(stack, 'battery', connectionId, pipelineId);
    const started = await stack.api('POST', `/api/streams/${streamId}/start`);
    if (started.status !== 200) throw new Error(`start: ${started.status} ${started.text}`);
    return { stack, crashFile, connectionId, pipelineId, streamId };
  } catch (error) {
    await stack.stop();
    throw error;
  }
}

async function made(stack: Stack, route: string, body: object): Promise<Answer> {
  const answer = await stack.api('POST', route, body);
  if (answer.status !== 201) throw new Error(`${route}: ${answer.status} ${answer.text}`);
  return answer;
}

/** Of all topics. @returns its id */
export async function makeStream(
  stack: Stack,
  name: string,
  connectionId: string,
  pipelineId: string,
): Promise<string> {
  const config = { topics: TOPICS.map(([topic]) => topic) };
  return (await made(stack, '/api/streams', { name, sourceType: 'kafka', connectionId, pipelineId, config })).id;
}
