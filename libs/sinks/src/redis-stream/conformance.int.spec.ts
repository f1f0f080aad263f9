import { systemClock } from '@planasonix/core';
import { sinkConformance, startRedis } from '@planasonix/testing';
import { TRANSACTION_FROM } from './appends.js';
import { redisFactory } from './connection.js';
import { eventsKey } from './keys.js';
import { RedisLog, type RedisOutput } from './redis-log.js';

const conforms = (transactionFrom: number) => async () => {
  const redis = await startRedis();
  const client = redis.client();
  const open = (output: RedisOutput) => new RedisLog(output, redisFactory(redis.url), systemClock, transactionFrom);
  const log = open({ type: 'redis_stream' });
  const max = 50;
  const bounded = open({ type: 'redis_stream', retention: { max_entries: max, on_full: 'block' } });
  return {
    log,
    bounded: {
      log: bounded,
      max,
      async makeRoom(streamId: string) {
        const key = eventsKey(streamId);
        await client.xgroup('CREATE', key, 'readers', '0');
        const [[, entries]] = (await client.xreadgroup(
          'GROUP',
          'readers',
          'one',
          'COUNT',
          20,
          'STREAMS',
          key,
          '>',
        )) as [[string, [string, string[]][]]];
        await client.xack(key, 'readers', ...entries.map(([id]) => id));
      },
    },
    async stop() {
      await log.close();
      await bounded.close();
      await redis.stop();
    },
  };
};

sinkConformance('redis-stream', conforms(TRANSACTION_FROM));
sinkConformance('redis-stream, every batch a transaction', conforms(1));
