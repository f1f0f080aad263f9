import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { becomes, eventOf, kcat, startKafka, type Kafka } from '@planasonix/testing';
import { Logs } from './logs-under-test.js';

const never = new AbortController().signal;
const PARTS = 200;
const EVENTS = 250;
const EVENT_BYTES = 4_000;
/** As many as the engine has under way. */
const IN_FLIGHT = 8;
/** A fifth of the transaction. */
const BOUND_BYTES = 40_000_000;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** What is held on to, bytes. */
function held(): number {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

describe('a transaction of 200 MB', () => {
  let kafka: Kafka;
  let logs: Logs;
  beforeAll(async () => {
    kafka = await startKafka();
    logs = new Logs(kafka.brokers);
  });
  afterAll(async () => {
    await logs.close();
    await kafka.stop();
  });

  it('is not kept in memory while its parts come, and is there whole once it is committed (Invariant 6)', async () => {
    const id = `str_large${process.pid}`;
    const sink = logs.sink(logs.open({ createTopics: { partitions: 3, replicationFactor: 1 } }), id, 1);
    await sink.open();
    const shown = async () => {
      const args = ['-b', kafka.brokers.join(','), '-C', '-t', `log.${id}`, '-e', '-q', '-f', '.'];
      return (await kcat([...args, '-X', 'isolation.level=read_committed'])).length;
    };
    const part = (n: number) => {
      const data = () => Buffer.from(`"${'x'.repeat(EVENT_BYTES)}"`);
      const events = Array.from({ length: EVENTS }, (_, i) => eventOf(n * EVENTS + i, { data: data() }));
      return sink.append({ partition: '', events, position: n === PARTS - 1 ? 'whole' : null }, never);
    };
    const before = held();
    let most = 0;
    for (let from = 0; from < PARTS; from += IN_FLIGHT) {
      if (from + IN_FLIGHT >= PARTS) expect(await shown()).toBe(0);
      await Promise.all(Array.from({ length: Math.min(IN_FLIGHT, PARTS - from) }, (_, i) => part(from + i)));
      most = Math.max(most, held() - before);
    }
    expect(most).toBeLessThan(BOUND_BYTES);
    await becomes(shown, PARTS * EVENTS);
  });
});
