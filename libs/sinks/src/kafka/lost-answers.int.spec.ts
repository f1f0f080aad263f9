import type { ChangeBatch } from '@planasonix/core';
import { becomes, commit, startKafka, startKafkaProxy, type Kafka, type KafkaProxy } from '@planasonix/testing';
import { committedIds, Logs } from './logs-under-test.js';

const never = new AbortController().signal;
const numbers = (last: number) => Array.from({ length: last }, (_, i) => `e-${1 + i}`);
const part = (first: number, last: number): ChangeBatch => commit(first, last, { position: null });
let streams = 0;

describe('an answer of the broker that is lost (trap 25a)', () => {
  let kafka: Kafka;
  let logs: Logs;
  let proxy: KafkaProxy;
  let id: string;
  beforeAll(async () => {
    kafka = await startKafka({
      advertise: async (port) => {
        proxy = await startKafkaProxy({ targetPort: port });
        return `127.0.0.1:${proxy.port}`;
      },
    });
    logs = new Logs([`127.0.0.1:${proxy.port}`]);
  });
  beforeEach(() => (id = `str_void${process.pid}x${++streams}`));
  afterEach(() => logs.close());
  afterAll(async () => {
    await kafka.stop();
    await proxy.stop();
  });

  const ids = () => committedIds(kafka.brokers, `log.${id}`);
  async function opened(epoch: number) {
    const sink = logs.sink(logs.open(), id, epoch);
    return { sink, found: await sink.open() };
  }

  it.each(['AddPartitionsToTxn', 'Produce', 'EndTxn'] as const)(
    'to %s: the writer goes on, each event is there once and none is missing',
    async (api) => {
      const { sink } = await opened(1);
      await sink.append(commit(1, 2), never);
      const lost = proxy.loseAnswer(api);
      const appended = sink.append(commit(3, 6), never);
      await lost;
      expect(await appended).toMatchObject({ events: 4, duplicates: 0 });
      await sink.append(part(7, 9), never);
      expect(await sink.append(commit(10, 12), never)).toMatchObject({ totals: { events: 12 } });
      await becomes(ids, numbers(12));
      expect((await opened(2)).found).toMatchObject({ positions: new Map([['', 'at-12']]), totals: { events: 12 } });
    },
  );

  it.each(['AddPartitionsToTxn', 'Produce', 'EndTxn'] as const)(
    'to %s, and whoever waited for it dies: the next owner writes what is missing, and nothing else',
    async (api) => {
      const { sink } = await opened(1);
      await sink.append(commit(1, 2), never);
      const lost = proxy.loseAnswer(api, 'silent');
      const appended = sink.append(commit(3, 6), never).catch(() => undefined);
      await lost;
      await sink.close();
      await appended;
      const { sink: next, found } = await opened(2);
      // Its commit had reached the broker, or nothing of it is to be seen.
      expect(found.positions.get('')).toBe(api === 'EndTxn' ? 'at-6' : 'at-2');
      const from = Number(found.positions.get('')!.slice(3)) + 1;
      await next.append(commit(from, 8), never);
      await becomes(ids, numbers(8));
      expect((await opened(3)).found.totals.events).toBe(8);
    },
  );

  it('to InitProducerId: who enters has entered, and bars whoever wrote before', async () => {
    const { sink: older } = await opened(1);
    await older.append(commit(1, 2), never);
    const lost = proxy.loseAnswer('InitProducerId');
    const [{ sink, found }] = await Promise.all([opened(2), lost]);
    expect(found.positions.get('')).toBe('at-2');
    await expect(older.append(commit(3, 4), never)).rejects.toMatchObject({ code: 'fenced' });
    await sink.append(commit(3, 5), never);
    await becomes(ids, numbers(5));
  });
});
