import { type ChangeBatch } from '@planasonix/core';
import { becomes, commit, createTopics, eventually, startKafka } from '@planasonix/testing';
import { Kafka as Client, logLevel } from 'kafkajs';
import { committedIds, Logs } from './logs-under-test.js';

const never = new AbortController().signal;
const part = (first: number, last: number): ChangeBatch => commit(first, last, { position: null });

describe('the log in a cluster of three', () => {
  it('goes on when its leaders die and hang, with two of three nodes: 0 lost, 0 twice (trap 25a)', async () => {
    const kafka = await startKafka({ nodes: 3 });
    const logs = new Logs(kafka.brokers);
    const id = `str_three${process.pid}`;
    const admin = new Client({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING }).admin();
    try {
      const log = logs.open({ createTopics: { partitions: 6, replicationFactor: 3 } });
      let epoch = 1;
      let sink = logs.sink(log, id, epoch);
      await sink.open();
      let next = 1;
      let over = false;
      const writing = (async () => {
        while (!over) {
          const outcome = await Promise.allSettled(
            [part(next, next + 20), commit(next + 21, next + 30), commit(next + 31, next + 60)].map((batch) =>
              sink.append(batch, never),
            ),
          );
          if (outcome.every(({ status }) => status === 'fulfilled')) {
            next += 61;
            continue;
          }
          const found = await eventually(
            'it opens again',
            async () => {
              sink = logs.sink(log, id, ++epoch);
              return sink.open();
            },
            { timeoutMs: 60_000 },
          );
          next = Number(found.positions.get('')?.slice(3) ?? 0) + 1;
        }
      })();
      // Whoever waits for it hears of its end; nobody does where the test has failed before.
      writing.catch(() => undefined);
      await admin.connect();
      const configEntries = [{ name: 'min.insync.replicas', value: '1' }];
      // Not every broker knows of it at once.
      await createTopics(admin, [{ topic: 'loose', replicationFactor: 3, configEntries }]);
      const loose = logs.open({ topic: 'loose' });
      const findings = await eventually('every broker knows the topic', async () => {
        const found = await loose.check();
        return found.some(({ code }) => code === 'log_not_durable') ? found : null;
      });
      expect(findings).toMatchObject([
        { code: 'log_not_durable', severity: 'warning', fix: expect.stringContaining('min.insync.replicas=2') },
      ]);
      await admin.disconnect();
      const progress = async () => {
        const from = next;
        await eventually('it goes on', () => next > from + 300, { timeoutMs: 60_000 });
      };
      await progress();
      for (const node of kafka.nodes.slice(0, 2)) {
        await node.kill();
        await progress();
        // One of three that is down is told of, and keeps nobody from beginning.
        await eventually('it is told of', async () => {
          const found = (await log.check()).map(({ code, severity }) => `${severity} ${code}`);
          // The one where the cluster has not noticed yet, the other once it has.
          expect([['warning source_unreachable'], ['warning config_invalid']]).toContainEqual(found);
          return true;
        });
        await node.start();
        await progress();
      }
      kafka.nodes[1]!.freeze();
      try {
        await progress();
      } finally {
        kafka.nodes[1]!.thaw();
      }
      await progress();
      over = true;
      await writing;
      const sorted = async () =>
        (await committedIds(kafka.brokers, `log.${id}`)).map((one) => Number(one.slice(2))).sort((a, b) => a - b);
      await becomes(
        sorted,
        Array.from({ length: next - 1 }, (_, i) => i + 1),
      );
    } finally {
      await logs.close();
      await kafka.stop();
    }
  }, 240_000);
});
