import { systemClock } from '@planasonix/core';
import type { ClusterView, OffsetFound } from './client-requests.js';
import { silent } from './cluster-under-test.js';
import type { Fetched } from './consumer-fetch.js';
import { EARLIEST, FetchReader, KafkaCluster, kafkaSettings, LATEST, type KafkaClient } from './index.js';
import { encodeBatch } from './record-batch.js';

const rising = (count: number) => Array.from({ length: count }, (_, i) => i);
const never = new AbortController().signal;
const PLACE = { topic: 't', topicId: 'f', partition: 0, offset: 0, leaderEpoch: -1 };

/** A cluster whose first broker is cut off from its controllers, with as many partitions as brokers. */
interface Stale {
  readonly brokers: number;
  /** Who leads, as the first broker tells for ever. In truth it is the second one. */
  readonly old: number;
  /** The answer to who goes by that. */
  readonly code: number;
}

function staleCluster({ brokers: count, old, code }: Stale): KafkaCluster {
  const brokers = new Map(rising(count).map((node) => [node, { host: '127.0.0.1', port: node + 1 }]));
  const told = (by: number): ClusterView => {
    const newest = { leader: 1, leaderEpoch: 6, replicas: count, error: 0 };
    const partition = by === 0 ? { ...newest, leader: old, leaderEpoch: 5 } : newest;
    const partitions = rising(count).map((n) => ({ ...partition, partition: n }));
    return {
      clusterId: 'c',
      brokers,
      topics: [{ topic: 't', id: 'f', error: 0, internal: false, may: null, partitions }],
    };
  };
  const found = (error: number): OffsetFound[] => [
    { topic: 't', partition: 0, timestamp: LATEST, error, offset: error === 0 ? 9 : -1, leaderEpoch: 6 },
  ];
  const identity = { producerId: 1, producerEpoch: 0, sequence: 0, timestamp: 0 };
  const records = encodeBatch([{ key: null, value: Buffer.from('v'), headers: [] }], identity);
  const fetched = (error: number): Fetched[] =>
    rising(count).map((partition) => ({
      ...{ topicId: 'f', partition, error, end: 1, logStart: 0, aborted: [], divergedAt: null },
      records: error === 0 ? records : null,
    }));
  let last = 0;
  const client: KafkaClient = {
    name: 'one of its brokers is stale',
    open: ({ port }) => {
      const answers: Readonly<Record<string, () => unknown>> = {
        Metadata: () => told((last = port - 1)),
        ListOffsets: () => found(last === 0 ? code : 0),
        Fetch: () => fetched(last === 0 ? code : 0),
      };
      const send = async ({ name }: { readonly name: string }) => {
        await new Promise(setImmediate);
        return answers[name]!() as never;
      };
      return Promise.resolve({ open: true, highest: () => 99, send, close: () => undefined });
    },
    createTopic: () => Promise.resolve(true),
    removeTopics: () => Promise.resolve(),
  };
  const settings = kafkaSettings({ config: { brokers: rising(count).map((node) => `127.0.0.1:${node + 1}`) } });
  const outbound = { resolve: (host: string) => Promise.resolve(host) };
  // Waits between tries pass at once.
  const clock = { ...systemClock, sleep: () => new Promise<boolean>((resolve) => setImmediate(resolve, true)) };
  return new KafkaCluster({ settings, outbound, log: silent, clock, client });
}

describe.each([
  ['74, by the leader', 1, 74],
  ['75, by one that leads no more', 0, 75],
])('another broker is asked who leads where the first one has not heard of the newest leader: %s', (_, old, code) => {
  const ends = (cluster: KafkaCluster, timestamp: number) =>
    cluster.offsets([{ topic: 't', partition: 0, timestamp }], never);

  it('whoever asks for offsets', async () => {
    expect(await ends(staleCluster({ brokers: 2, old, code }), LATEST)).toMatchObject([{ error: 0, offset: 9 }]);
  });

  it('also where two ask at once: the turn is not handed back to the first one', async () => {
    const cluster = staleCluster({ brokers: 2, old, code });
    const both = await Promise.all([EARLIEST, LATEST].map((timestamp) => ends(cluster, timestamp)));
    expect(both).toMatchObject([[{ error: 0 }], [{ error: 0 }]]);
  });

  it.each([2, 3])(
    'also where a fetch is refused for %i partitions, and the cluster has as many brokers',
    async (brokers) => {
      const cluster = staleCluster({ brokers, old, code });
      const reader = new FetchReader({ cluster, clock: systemClock, patienceMs: 1_000 });
      reader.add(rising(brokers).map((partition) => ({ ...PLACE, partition })));
      const seen = new Set<number | undefined>();
      while (seen.size < brokers) seen.add((await reader.next(10_000))?.partition);
      expect([...seen].sort()).toEqual(rising(brokers));
      reader.close();
    },
  );
});
