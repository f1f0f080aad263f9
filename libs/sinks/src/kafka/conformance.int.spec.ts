import { createOutbound } from '@planasonix/outbound';
import { sinkConformance, startKafka } from '@planasonix/testing';
import { openLog } from '../open-log.js';

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

// Each owner of a stream enters in three transactions.

sinkConformance('kafka', async () => {
  const kafka = await startKafka();
  const log = openLog(
    {
      type: 'kafka',
      connectionId: 'conn_1',
      topic: 'log.{stream}',
      createTopics: { partitions: 1, replicationFactor: 1 },
    },
    {
      redisUrl: 'redis://127.0.0.1:1',
      kafka: {
        settings: () => Promise.resolve({ id: 'conn_1', type: 'kafka', config: { brokers: kafka.brokers } }),
        outbound: createOutbound({ policy: 'allow-private' }),
        log: silent,
      },
    },
  );
  return {
    log,
    async stop() {
      await log.close();
      await kafka.stop();
    },
  };
});
