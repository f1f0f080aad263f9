import { StreamError, systemClock } from '@planasonix/core';
import { KafkaCluster, kafkaSettings, TopicAdmin, type KafkaClient } from './index.js';
import { silent } from './cluster-under-test.js';
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
