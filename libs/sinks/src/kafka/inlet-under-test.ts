import type { EventLog, Inlet, InletReport } from '@planasonix/core';
import { startKafka, startRedis, type Kafka, type Redis } from '@planasonix/testing';
import { delivery, gate, soon } from '../deliveries-under-test.js';
import { Inlets } from '../inlets-under-test.js';
import { allCommitted, Logs } from './logs-under-test.js';
import { StreamWriter } from './writer.js';

let streams = 0;

/** To be called at the top of a spec: a broker and a Redis for it, and for each test a stream into Kafka with many writers. */
export function inletUnderTest() {
  let kafka: Kafka;
  let redis: Redis;
  let logs: Logs;
  let log: EventLog;
  let id: string;
  let inlets: Inlets;

  beforeAll(async () => {
    [kafka, redis] = await Promise.all([startKafka(), startRedis()]);
  });
  afterAll(() => Promise.all([kafka.stop(), redis.stop()]));
  beforeEach(() => {
    id = `str_hooks${process.pid}x${++streams}`;
    logs = new Logs(kafka.brokers, redis.url);
    log = logs.open();
    inlets = new Inlets(id, log);
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await inlets.close();
    await logs.close();
  });

  return {
    get kafka() {
      return kafka;
    },
    get redis() {
      return redis;
    },
    get logs() {
      return logs;
    },
    get log() {
      return log;
    },
    get id() {
      return id;
    },
    writer: (of?: EventLog) => inlets.writer(of),
    opened: (epoch?: number, of?: EventLog) => inlets.opened(epoch, of),
    take: (inlet: Inlet, name: string, epoch = 1) => inlet.append(id, epoch, delivery(name), soon(20_000)),
    /** In the order of the topic, once it is so many. */
    ids: async (count: number) =>
      (await allCommitted(kafka.brokers, `log.${id}`, count)).map(({ headers }) => headers['ce_id']!),
    nothing: (): InletReport => ({
      ...{ streamId: id, epoch: 1, oldestPendingAt: null, answers: [], failures: [] },
      counts: { errors: 0, rejected: 0, dropped: 0, latency: new Map() },
    }),
    /** Whoever writes next gets no further until it is opened. */
    holdNextWrite: (): ReturnType<typeof gate> => {
      const held = gate();
      // eslint-disable-next-line @typescript-eslint/unbound-method
      const write = StreamWriter.prototype.write;
      jest.spyOn(StreamWriter.prototype, 'write').mockImplementationOnce(async function (this: StreamWriter, ...args) {
        await held.pass();
        return write.apply(this, args);
      });
      return held;
    },
  };
}
