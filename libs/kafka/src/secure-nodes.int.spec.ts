import { becomes, startKafka, type Kafka } from '@planasonix/testing';
import { CLIENTS } from './clients-under-test.js';
import { ClusterUnderTest } from './cluster-under-test.js';
import { Producers, text } from './producers-under-test.js';

const MECHANISMS = ['plain', 'scram-sha-256', 'scram-sha-512'] as const;

describe.each(CLIENTS)('over %s, three brokers behind TLS and a login', (_, client) => {
  let server: Kafka;
  let kafka: ClusterUnderTest;
  beforeAll(async () => {
    server = await startKafka({ nodes: 3, secure: true });
    kafka = new ClusterUnderTest(server, client);
  }, 120_000);
  afterAll(async () => {
    await kafka.close();
    await server.stop();
  });

  /** As the user of a connection that names one of them. */
  const secure = (node: number) => {
    const { username, password, ca } = server.login;
    const sasl = { mechanism: MECHANISMS[node]!, username, password };
    return { brokers: [server.secureBrokers[node]!], tls: true, sslRootCert: ca, sasl };
  };

  it('log in at each, which leads to all others; what leaders of all three were given is read from them', async () => {
    const replicaAssignment = server.nodes.map(({ id }, partition) => ({ partition, replicas: [id] }));
    const configEntries = [{ name: 'min.insync.replicas', value: '1' }];
    await kafka.create('spread', { replicaAssignment, configEntries });
    for (const [node, mechanism] of MECHANISMS.entries()) {
      const cluster = kafka.cluster(secure(node));
      await becomes(
        async () => (await cluster.view(['spread'])).topics[0]!.partitions.map(({ leader }) => leader).sort(),
        server.nodes.map(({ id }) => id),
      );
      expect([...(await cluster.view([])).brokers.values()].map(({ port }) => `127.0.0.1:${port}`).sort()).toEqual(
        [...server.secureBrokers].sort(),
      );
      expect(await cluster.probe()).toEqual([]);
      const producers = new Producers(server.secureBrokers, client, secure(node));
      const producer = producers.make(`secure-${mechanism}`);
      await producer.begin();
      await producer.write(
        server.nodes.map((_, partition) => ({
          ...{ topic: 'spread', partition },
          records: [text(`${partition} by ${mechanism}`)],
        })),
      );
      await producer.commit();
      producers.close();
    }
    const read = async () => (await kafka.all('spread', {}, secure(1))).map(({ value }) => value!.toString()).sort();
    await becomes(
      read,
      server.nodes.flatMap((_, partition) => MECHANISMS.map((one) => `${partition} by ${one}`)).sort(),
    );
  });
});
