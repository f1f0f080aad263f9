import { PATTERNS, type Log } from '@planasonix/core';
import { COUNTERS_GROUP, countersEmitter, readEnv, type Emitter } from '@planasonix/service';
import { kcat, startKafka, type startRedis } from '@planasonix/testing';
import { Kafka, logLevel } from 'kafkajs';

/** A way that counters take. */
export interface Wire {
  /** What an app has to be told to use it. */
  readonly env: Readonly<Record<string, string>>;
  readonly emitter: Emitter;
  /** Bytes that no worker of ours would send. */
  raw(text: string): Promise<unknown>;
  /** So many aggregators listen, and all that is to be heard is heard by them. */
  listening(count: number): Promise<boolean>;
  /** What carries them crashes, and comes back. */
  crash(): Promise<void>;
  comeBack(): Promise<void>;
  stop(): Promise<void>;
}

type RedisServer = Awaited<ReturnType<typeof startRedis>>;

const quiet: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

const emitterOf = (redis: RedisServer, env: Readonly<Record<string, string>>): Emitter =>
  countersEmitter(
    readEnv(
      {},
      {
        ...{ DATABASE_URL: 'postgres://nobody@127.0.0.1/none', REDIS_URL: redis.url },
        ...{ ENCRYPTION_KEY: Buffer.alloc(32, 1).toString('base64'), ...env },
      },
    ),
    quiet,
  );

export function redisWire(redis: RedisServer): Promise<Wire> {
  const emitter = emitterOf(redis, {});
  return Promise.resolve({
    env: {},
    emitter,
    raw: (text) => redis.client().publish(PATTERNS.counters, text),
    async listening(count) {
      const found = await redis.client({ maxRetriesPerRequest: 1 }).pubsub('NUMSUB', PATTERNS.counters);
      return found[1] === count;
    },
    crash: () => redis.kill(),
    comeBack: () => redis.start(),
    stop: () => emitter.close(),
  });
}

export async function kafkaWire(redis: RedisServer): Promise<Wire> {
  const server = await startKafka();
  const env = { METRICS_TRANSPORT: 'kafka', METRICS_KAFKA_BROKERS: server.brokers.join(',') };
  const emitter = emitterOf(redis, env);
  const admin = new Kafka({ brokers: [...server.brokers], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  return {
    env,
    emitter,
    raw: (text) => kcat(['-b', server.brokers.join(','), '-P', '-t', PATTERNS.counters], `${text}\n`),
    async listening(count) {
      const { groups } = await admin.describeGroups([COUNTERS_GROUP]);
      const { state, members } = groups[0]!;
      return members.length === count && state === (count === 0 ? 'Empty' : 'Stable');
    },
    crash: () => server.nodes[0]!.kill(),
    comeBack: () => server.nodes[0]!.start(),
    async stop() {
      await emitter.close();
      await admin.disconnect();
      await server.stop();
    },
  };
}
