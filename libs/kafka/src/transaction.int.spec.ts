import { StreamError } from '@planasonix/core';
import { becomes, eventually, startKafka, startProxy, type Kafka, type Proxy } from '@planasonix/testing';
import { CLIENTS } from './clients-under-test.js';
import { ClusterUnderTest } from './cluster-under-test.js';
import { metadataCall } from './client-requests.js';
import type { Call } from './client.js';
import type { TransactionalProducer } from './index.js';
import { committed, Producers, text } from './producers-under-test.js';

const rising = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => String(from + i));

describe.each(CLIENTS)('over %s, a producer with transactions', (_, client) => {
  let server: Kafka;
  let kafka: ClusterUnderTest;
  let producers: Producers;
  let proxy: Proxy;
  let dead: number;
  beforeAll(async () => {
    server = await startKafka({
      properties: { 'transaction.abort.timed.out.transaction.cleanup.interval.ms': '200' },
      advertise: async (port) => {
        proxy = await startProxy({ targetPort: port });
        return `127.0.0.1:${proxy.port}`;
      },
    });
    kafka = new ClusterUnderTest(server, client);
    dead = proxy.port;
  });
  beforeEach(() => (producers = new Producers([`127.0.0.1:${dead}`], client)));
  afterEach(() => {
    proxy.resume();
    producers.close();
  });
  afterAll(async () => {
    await kafka.close();
    await server.stop();
    await proxy.stop();
  });

  it('shows a transaction whole once it is committed, over partitions and topics, and one given up never', async () => {
    await kafka.create('whole-a', { numPartitions: 3 });
    await kafka.create('whole-b');
    const producer = producers.make('whole');
    expect(await producer.begin()).toBe(true);
    const parts = (from: number) => [
      { topic: 'whole-a', partition: 0, records: [text(`${from}`)] },
      { topic: 'whole-a', partition: 2, records: [text(`${from + 1}`), text(`${from + 2}`)] },
      { topic: 'whole-b', partition: 0, records: [text(`${from + 3}`)] },
    ];
    await producer.write(parts(1));
    await producer.write(parts(11));
    expect(await committed(server.brokers, 'whole-a')).toEqual([]);
    await producer.commit();
    await becomes(async () => (await committed(server.brokers, 'whole-a')).sort(), ['1', '11', '12', '13', '2', '3']);
    await producer.write(parts(21));
    await producer.abort();
    await producer.write(parts(31));
    await producer.commit();
    await becomes(() => committed(server.brokers, 'whole-b'), ['4', '14', '34']);
  });

  it('splits what is too large for one batch, and keeps its order', async () => {
    await kafka.create('large');
    const producer = producers.make('large');
    await producer.begin();
    const values = rising(1, 400).map((n) => n.padEnd(10_000, '.'));
    await producer.write([{ topic: 'large', partition: 0, records: values.map((value) => text(value)) }]);
    await producer.commit();
    await becomes(() => committed(server.brokers, 'large'), values);
    await expect(
      producer.write([{ topic: 'large', partition: 0, records: [text('x'.repeat(2_000_000))] }]),
    ).rejects.toMatchObject({ code: 10 });
  });

  it('halves what the brokers find too large for one batch, where the limit may not be asked; one record alone is refused', async () => {
    await kafka.create('tight', { numPartitions: 2, configEntries: [{ name: 'max.message.bytes', value: '100000' }] });
    const producer = producers.make('tight');
    await producer.begin();
    const values = rising(1, 40).map((n) => n.padEnd(Number(n) % 10 === 0 ? 90_000 : 15_000, '.'));
    const part = (partition: number, some: readonly string[]) => ({ topic: 'tight', partition, records: some.map((value) => text(value)) }); // prettier-ignore
    await producer.write([part(0, values), part(1, ['beside'])]);
    await producer.write([part(0, ['behind'])]);
    await producer.commit();
    const found = await committed(server.brokers, 'tight');
    expect(found.filter((value) => value !== 'beside')).toEqual([...values, 'behind']);
    await expect(producer.write([part(0, ['small', 'x'.repeat(150_000)])])).rejects.toMatchObject({ code: 10 });
  });

  it('asks less of a topic once it has refused a batch', async () => {
    await kafka.create('learned', { configEntries: [{ name: 'max.message.bytes', value: '100000' }] });
    const cluster = kafka.cluster({ brokers: [`127.0.0.1:${dead}`] });
    const producer = producers.make('learned', { cluster });
    let sent = 0;
    const send = cluster.send.bind(cluster);
    cluster.send = (node, lane, call) => {
      if (call.name === 'Produce') sent++;
      return send(node, lane, call);
    };
    await producer.begin();
    const two = [text('a'.padEnd(60_000, '.')), text('b'.padEnd(60_000, '.'))];
    const counts: number[] = [];
    for (let again = 0; again < 2; again++) {
      sent = 0;
      await producer.write([{ topic: 'learned', partition: 0, records: two }]);
      counts.push(sent);
    }
    // Once both together, in vain.
    expect(counts).toEqual([3, 2]);
  });

  it('bars whoever began before: nothing of an open or a later transaction of it is ever seen (traps 25a, 32)', async () => {
    await kafka.create('fenced');
    const older = producers.make('fenced');
    const put = (producer: TransactionalProducer, value: string) =>
      producer.write([{ topic: 'fenced', partition: 0, records: [text(value)] }]);
    await older.begin();
    await put(older, 'committed');
    await older.commit();
    await put(older, 'open');
    const newer = producers.make('fenced');
    expect(await newer.begin()).toBe(false);
    await expect(older.commit()).rejects.toMatchObject({ name: 'TransactionLost' });
    await expect(put(older, 'late')).rejects.toMatchObject({ name: 'TransactionLost' });
    await put(newer, 'newer');
    await newer.commit();
    await becomes(() => committed(server.brokers, 'fenced'), ['committed', 'newer']);
  });

  it('refuses a commit that was given up and arrives in the middle of the next transaction', async () => {
    await kafka.create('stray');
    const cluster = kafka.cluster({ brokers: [`127.0.0.1:${dead}`] });
    await cluster.view([]);
    const sent: { readonly call: Call<unknown>; readonly node: number }[] = [];
    const send = cluster.send.bind(cluster);
    cluster.send = (node, lane, call) => {
      if (call.name === 'EndTxn') sent.push({ call, node });
      // Sent, and given up before the answer comes.
      if (call.name === 'EndTxn' && sent.length === 1) {
        return send(node, lane, call).then(() => {
          throw new StreamError('source_unreachable', 'No answer.');
        });
      }
      return send(node, lane, call);
    };
    const producer = producers.make('stray', { cluster });
    const put = (value: string) => producer.write([{ topic: 'stray', partition: 0, records: [text(value)] }]);
    await producer.begin();
    await put('1');
    await producer.commit();
    await put('2');
    await expect(send(sent[0]!.node, 'ask', sent[0]!.call)).rejects.toMatchObject({ name: 'KafkaError' });
    expect(await committed(server.brokers, 'stray')).toEqual(['1']);
    await put('3');
    await producer.commit();
    await becomes(() => committed(server.brokers, 'stray'), ['1', '2', '3']);
  });

  it('writes once what it sends again when the answer was lost, and commits once (trap 25a)', async () => {
    await kafka.create('again');
    const producer = producers.make('again');
    await producer.begin();
    const all = rising(1, 60);
    for (const value of all) {
      // What was sent arrives, and its answer does not: the connection is torn at any moment from here.
      if (Number(value) % 6 === 0) proxy.tear();
      await producer.write([{ topic: 'again', partition: 0, records: [text(value)] }]);
      if (Number(value) % 5 === 0) {
        if (Number(value) % 10 === 0) proxy.tear();
        await producer.commit();
      }
    }
    await becomes(() => committed(server.brokers, 'again'), all);
  });

  it('goes on at 0 after 2^31 - 1 (trap 25a)', async () => {
    // The broker takes any first sequence of a producer that it has not met in this partition.
    const producer = producers.make('wrap', { firstSequence: 2 ** 31 - 25 });
    await producer.begin();
    const all = rising(1, 60);
    for (let from = 0; from < all.length; from += 10)
      await producer.write([
        { topic: 'wrap', partition: 0, records: all.slice(from, from + 10).map((value) => text(value)) },
      ]);
    await producer.commit();
    await becomes(() => committed(server.brokers, 'wrap'), all);
  });

  it('knows that a transaction which lasted too long is lost', async () => {
    const producer = producers.make('slow', { timeoutMs: 1_000 });
    await producer.begin();
    await producer.write([{ topic: 'slow', partition: 0, records: [text('1')] }]);
    await eventually('the broker gives it up', async () => {
      const error: unknown = await producer
        .write([{ topic: 'slow', partition: 0, records: [text('2')] }])
        .catch((why: unknown) => why);
      return error instanceof Error && error.name === 'TransactionLost';
    });
    expect(await committed(server.brokers, 'slow')).toEqual([]);
  });

  it('makes a topic that is missing where it may', async () => {
    const producer = producers.make('made');
    await producer.begin();
    await producer.write([{ topic: 'made', partition: 0, records: [text('1')] }]);
    await producer.commit();
    await becomes(() => committed(server.brokers, 'made'), ['1']);
  });

  it('waits for a broker that was killed, and has lost and doubled nothing', async () => {
    const producer = producers.make('killed');
    await producer.begin();
    const put = (value: string) => producer.write([{ topic: 'killed', partition: 0, records: [text(value)] }]);
    await put('1');
    await producer.commit();
    await put('2');
    await server.nodes[0]!.kill();
    const [written] = await Promise.all([put('3'), server.nodes[0]!.start()]);
    expect(written).toBeUndefined();
    await producer.commit();
    await put('4');
    await producer.commit();
    await becomes(() => committed(server.brokers, 'killed'), ['1', '2', '3', '4']);
  });

  it('hangs up at every connection to a broker of which one is silent, and goes on over new ones', async () => {
    const cluster = kafka.cluster({ brokers: [`127.0.0.1:${dead}`] }, { ask: 2_000 });
    const producer = producers.make('half', { cluster });
    const put = (value: string) => producer.write([{ topic: 'half', partition: 0, records: [text(value)] }]);
    await producer.begin();
    await put('1');
    await producer.commit();
    const [node] = (await cluster.view([])).brokers.keys();
    proxy.halfOpen();
    // By itself it would wait out the ten seconds of a record that is written.
    const waiting = expect(cluster.send(node!, 'produce', metadataCall([]))).rejects.toMatchObject({
      message: 'The connection was closed',
    });
    await expect(cluster.view([])).rejects.toMatchObject({ code: 'source_unreachable' });
    await waiting;
    await put('2');
    await producer.commit();
    await becomes(() => committed(server.brokers, 'half'), ['1', '2']);
  });
});
