import { StreamError, systemClock } from '@planasonix/core';
import { KafkaCluster, kafkaSettings, LATEST, TopicAdmin, type KafkaClient } from './index.js';
import { silent } from './cluster-under-test.js';
import type { ClusterView, OffsetFound } from './client-requests.js';
import { addressText } from './config.js';

it('nothing is dialled but by the client that was given', async () => {
  const asked: string[] = [];
  const refuse = (what: string): Promise<never> => {
    asked.push(what);
    return Promise.reject(new StreamError('host_forbidden', `${what} is refused`));
  };
  const client: KafkaClient = {
    name: 'another',
    open: (broker) => refuse(`open ${addressText(broker)}`),
    createTopic: (_, { topic }, { trial }) => refuse(`${trial ? 'try' : 'make'} ${topic}`),
    removeTopics: (_, topics) => refuse(`remove ${topics.join()}`),
  };
  const settings = kafkaSettings({ config: { brokers: ['127.0.0.1:1'] } });
  const reach = { settings, outbound: { resolve: () => refuse('resolve') }, log: silent };
  const cluster = new KafkaCluster({ ...reach, clock: systemClock, client });
  const admin = new TopicAdmin(reach, client);
  const codes = [cluster.view([]), admin.create({ topic: 't', partitions: 1, replicationFactor: 1 })];
  for (const one of [...codes, admin.mayCreate('u'), admin.remove(['v'])])
    await expect(one).rejects.toMatchObject({ code: 'host_forbidden' });
  expect(asked.sort()).toEqual(['make t', 'open 127.0.0.1:1', 'remove v', 'try u']);
});

it.each([
  ['74, by the leader', 1, 74],
  ['75, by one that leads no more', 0, 75],
])(
  'another broker is asked who leads where the first one has not heard of the newest leader: %s',
  async (_, old, code) => {
    const brokers = new Map([0, 1].map((node) => [node, { host: '127.0.0.1', port: node + 1 }]));
    /** The first one is cut off from its controllers: it tells of a leader of before, for ever. */
    const told = (by: number): ClusterView => {
      const newest = { partition: 0, leader: 1, leaderEpoch: 6, replicas: 2, error: 0 };
      const partitions = [by === 1 ? newest : { ...newest, leader: old, leaderEpoch: 5 }];
      return {
        clusterId: 'c',
        brokers,
        topics: [{ topic: 't', id: 'f', error: 0, internal: false, may: null, partitions }],
      };
    };
    let last = 0;
    const client: KafkaClient = {
      name: 'two of a cluster',
      open: ({ port }) => {
        const found = (error: number): OffsetFound[] => [
          { topic: 't', partition: 0, timestamp: LATEST, error, offset: error === 0 ? 9 : -1, leaderEpoch: 6 },
        ];
        const answers: Readonly<Record<string, () => unknown>> = {
          Metadata: () => told((last = port - 1)),
          ListOffsets: () => found(last === 0 ? code : 0),
        };
        const send = ({ name }: { readonly name: string }) => Promise.resolve(answers[name]!() as never);
        return Promise.resolve({ open: true, highest: () => 99, send, close: () => undefined });
      },
      createTopic: () => Promise.resolve(true),
      removeTopics: () => Promise.resolve(),
    };
    const settings = kafkaSettings({ config: { brokers: ['127.0.0.1:1', '127.0.0.1:2'] } });
    const outbound = { resolve: (host: string) => Promise.resolve(host) };
    const cluster = new KafkaCluster({ settings, outbound, log: silent, clock: systemClock, client });
    const asked = cluster.offsets([{ topic: 't', partition: 0, timestamp: LATEST }], new AbortController().signal);
    expect(await asked).toMatchObject([{ error: 0, offset: 9 }]);
  },
);
