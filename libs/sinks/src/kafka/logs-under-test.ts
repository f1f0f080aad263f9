import { systemClock, type Clock, type EventLog, type Seat, type Sink } from '@planasonix/core';
import { createOutbound, type Endpoint } from '@planasonix/outbound';
import { eventually, kcat } from '@planasonix/testing';
import { openLog } from '../open-log.js';
import { redisFactory } from '../redis-stream/connection.js';
import { reach, type Reached } from './kafka-cluster.js';
import { KafkaLog } from './kafka-log.js';
import type { KafkaOutput } from './writer.js';

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

const NO_REDIS = 'redis://127.0.0.1:1';

type Output = Partial<KafkaOutput>;
type Config = Readonly<Record<string, unknown>>;

const depsOf = (config: Config, reserved: readonly Endpoint[] = []) => ({
  settings: () => Promise.resolve({ id: 'conn_1', type: 'kafka', config }),
  outbound: createOutbound({ policy: 'allow-private', reserved }),
  log: silent,
});

/** Logs over a server, as workers and gateways open them. */
export class Logs {
  readonly #closers: (() => Promise<unknown>)[] = [];

  /** @param redisUrl of what streams with many writers share */
  constructor(
    readonly brokers: readonly string[],
    private readonly redisUrl = NO_REDIS,
  ) {}

  /** @param reserved addresses that may not be dialled */
  open(output: Output = {}, config: Config = { brokers: this.brokers }, reserved: readonly Endpoint[] = []): EventLog {
    const log = openLog(this.output(output), { redisUrl: this.redisUrl, kafka: depsOf(config, reserved) });
    this.#closers.push(() => log.close());
    return log;
  }

  /** @param barredSeconds for how long nothing of a log that was deleted goes */
  hasty(barredSeconds: number, clock: Clock = systemClock): EventLog {
    const log = new KafkaLog(
      this.output(),
      { ...depsOf({ brokers: this.brokers }), redis: redisFactory(this.redisUrl), clock },
      barredSeconds,
    );
    this.#closers.push(() => log.close());
    return log;
  }

  output(more: Output = {}): KafkaOutput {
    return {
      ...{ type: 'kafka', connectionId: 'conn_1', topic: 'log.{stream}' },
      createTopics: { partitions: 1, replicationFactor: 1 },
      ...more,
    };
  }

  async reach(): Promise<Reached> {
    const reached = await reach('conn_1', {
      ...depsOf({ brokers: this.brokers }),
      ...{ redis: redisFactory(this.redisUrl), clock: systemClock },
    });
    this.#closers.push(() => Promise.resolve(reached.cluster.close()));
    return reached;
  }

  sink(log: EventLog, streamId: string, epoch: number, seat?: Seat): Sink {
    const sink = log.sink(streamId, epoch, seat);
    this.#closers.push(() => sink.close());
    return sink;
  }

  async close(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close();
  }
}

export interface Line {
  readonly topic: string;
  readonly partition: number;
  readonly key: string;
  readonly payload: string | null;
  readonly headers: Readonly<Record<string, string>>;
}

/** What librdkafka reads, committed alone. */
export async function committed(brokers: readonly string[], topic: string): Promise<Line[]> {
  const out = await kcat(['-b', brokers.join(','), '-C', '-t', topic, '-e', '-q', '-J', '-X', 'isolation.level=read_committed']); // prettier-ignore
  const lines = out.toString().split('\n').slice(0, -1);
  return lines.map((line) => {
    const { headers = [], ...found } = JSON.parse(line) as Omit<Line, 'headers'> & { headers?: string[] };
    const pairs = headers.flatMap((name, i) => (i % 2 === 0 ? [[name, headers[i + 1]!]] : []));
    return { ...found, headers: Object.fromEntries(pairs) as Line['headers'] };
  });
}

/** The same, once it is so many: readers see a commit some time after it was answered. */
export const allCommitted = (brokers: readonly string[], topic: string, count: number): Promise<Line[]> =>
  eventually(`${count} in ${topic}`, async () => {
    const found = await committed(brokers, topic);
    return found.length >= count ? found : null;
  });

export const committedIds = async (brokers: readonly string[], topic: string): Promise<string[]> =>
  (await committed(brokers, topic)).map(({ headers }) => headers['ce_id']!);
