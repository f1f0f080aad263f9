import { StreamError, type Clock, type ConnectionSettings, type Log, type Outbound } from '@planasonix/core';
import { KafkaCluster, kafkaSettings, KafkaError, TopicAdmin, toStreamError } from '@planasonix/kafka';
import type { RedisFactory } from '../redis-stream/connection.js';

/** What a log in Kafka asks of whoever opens it. */
export interface KafkaDeps {
  /** The connection as it is now, secrets in the clear; `null`: gone. */
  readonly settings: (connectionId: string) => Promise<ConnectionSettings | null>;
  readonly outbound: Outbound;
  readonly log: Log;
  /** Of the system's Redis: what streams with many writers share. */
  readonly redis: RedisFactory;
  readonly clock: Clock;
}

/** Connections to the cluster of a log, and its administration. */
export interface Reached {
  readonly cluster: KafkaCluster;
  readonly admin: TopicAdmin;
}

/** Dials when first asked; whoever reaches closes. @throws StreamError */
export async function reach(connectionId: string, { settings, outbound, log, clock }: KafkaDeps): Promise<Reached> {
  const connection = await settings(connectionId);
  if (connection === null || connection.type !== 'kafka')
    throw new StreamError('config_invalid', `The log's connection ${connectionId} is not there.`, {
      hint: 'Let the output of the pipeline name a connection of type kafka.',
    });
  const of = kafkaSettings(connection);
  return {
    cluster: new KafkaCluster({ settings: of, outbound, log, clock }),
    admin: new TopicAdmin({ settings: of, outbound, log }),
  };
}

const INVALID_RECORD = 87;
/** What mends it, by the code of the protocol. */
const HINTS: Readonly<Record<number, string>> = {
  19: 'Too few replicas are in sync: bring the brokers up, or lower min.insync.replicas of the topic.',
  20: 'Too few replicas are in sync: bring the brokers up, or lower min.insync.replicas of the topic.',
  32: "Set the clocks of workers and brokers: a record is refused whose time is too far from the broker's (message.timestamp.after.max.ms and before.max.ms of the topic).",
  38: 'Bring all brokers up, or set createTopics.replicationFactor to no more than there are.',
  44: 'A policy of the cluster refuses to have this topic made or set: create it by hand, or change createTopics.',
  50: 'Raise transaction.max.timeout.ms of the brokers to 60000 or more.',
  51: 'The end of the last transaction is still being written: bring the brokers up that have partitions of it.',
  [INVALID_RECORD]: 'A compacted topic takes no event without a key: add a primary key, or set cleanup.policy=delete.',
};
const DENIED_HINT =
  "Grant the user of the log's connection Write, Describe, Create and DescribeConfigs on its topics, the same, Read and AlterConfigs on planasonix.positions.*, and Write and Describe on the transactional ids planasonix.*. The check of the stream names what is missing.";

/** A log that can't be reached is waited for; what a retry does not mend keeps its code. */
export function logFailure(error: unknown): StreamError {
  const broker = brokerError(error);
  if (broker?.code === INVALID_RECORD)
    return new StreamError('config_invalid', `The log refuses an event: ${broker.message}.`, {
      cause: broker,
      hint: HINTS[INVALID_RECORD],
    });
  const failure = toStreamError(error, 'using the log in Kafka');
  if (failure.code === 'message_too_large' && broker !== null)
    return new StreamError(failure.code, `The log refuses an event: ${broker.message}.`);
  const hint = failure.code === 'permission_denied' ? DENIED_HINT : broker && HINTS[broker.code];
  const code = failure.code === 'source_unreachable' || failure.code === 'internal' ? 'log_unavailable' : failure.code;
  if (code === failure.code && !hint) return failure;
  return new StreamError(code, failure.message, { cause: error, ...(hint ? { hint } : {}) });
}

/** What a broker answered, also where it was told of as a failure already. */
function brokerError(error: unknown): KafkaError | null {
  if (error instanceof KafkaError) return error;
  return error instanceof StreamError && error.cause instanceof KafkaError ? error.cause : null;
}

/** It is an event that the log refuses, in the words of `logFailure`; others it may take. */
export const isRefusal = ({ code, cause }: StreamError): boolean =>
  code === 'message_too_large' || (cause instanceof KafkaError && cause.code === INVALID_RECORD);
