import { StreamError, systemClock, type Clock, type EventLog, type PipelineOutput } from '@planasonix/core';
import type { KafkaDeps } from './kafka/kafka-cluster.js';
import { KafkaLog } from './kafka/kafka-log.js';
import { redisFactory, type RedisFactory } from './redis-stream/connection.js';
import { RedisLog } from './redis-stream/redis-log.js';

export interface LogDeps {
  /** `redis://…` of the system's Redis, or a maker of connections to it. */
  readonly redisUrl: string | RedisFactory;
  /** How a connection that an output names is reached. Absent: there is no log in Kafka to be had. */
  readonly kafka?: Omit<KafkaDeps, 'clock' | 'redis'>;
  readonly clock?: Clock;
}

type Opener<T extends PipelineOutput['type']> = (
  output: Extract<PipelineOutput, { type: T }>,
  deps: LogDeps,
) => EventLog;

/** One line per kind of log. */
const OPENERS: { readonly [T in PipelineOutput['type']]?: Opener<T> } = {
  redis_stream: (output, { redisUrl, clock = systemClock }) => new RedisLog(output, factoryOf(redisUrl), clock),
  kafka: (output, { redisUrl, kafka, clock = systemClock }) => {
    if (kafka === undefined) throw new StreamError('config_invalid', 'There are no connections to a log in Kafka');
    return new KafkaLog(output, { ...kafka, redis: factoryOf(redisUrl), clock });
  },
};

const factoryOf = (redis: LogDeps['redisUrl']): RedisFactory =>
  typeof redis === 'string' ? redisFactory(redis) : redis;

/**
 * The log that a pipeline's `output` names. Connects when first used; `close` gives the connection back.
 * @throws StreamError `config_invalid` for a kind that this build has no file for.
 */
export function openLog(output: PipelineOutput, deps: LogDeps): EventLog {
  const open = OPENERS[output.type] as ((output: PipelineOutput, deps: LogDeps) => EventLog) | undefined;
  if (!open)
    throw new StreamError('config_invalid', `There is no log of type "${output.type}"`, {
      hint: `Known: ${Object.keys(OPENERS).join(', ')}.`,
    });
  return open(output, deps);
}
