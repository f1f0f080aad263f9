import { sinkConformance, startRedis } from '@planasonix/testing';
import { openLog } from '../open-log.js';
import { eventsKey } from './keys.js';

sinkConformance('redis-stream', async () => {
  const redis = await startRedis();
  const client = redis.client();
  const log = openLog({ type: 'redis_stream' }, { redisUrl: redis.url });
  const max = 50;
  const bounded = openLog(
    { type: 'redis_stream', retention: { max_entries: max, on_full: 'block' } },
    { redisUrl: redis.url },
  );
  return {
    log,
    bounded: {
      log: bounded,
      max,
      async makeRoom(streamId) {
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
});
