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
    admin: new TopicAdmin(of, outbound, log),
  };
}

const TOO_LARGE: ReadonlySet<unknown> = new Set([10, 18]);
const INVALID_RECORD = 87;

/** A log that can't be reached is waited for; what a retry does not mend keeps its code. */
export function logFailure(error: unknown): StreamError {
  const code = error instanceof KafkaError ? error.code : null;
  if (TOO_LARGE.has(code))
    return new StreamError('message_too_large', `The log refuses an event: ${messageOf(error)}.`);
  if (code === INVALID_RECORD)
    return new StreamError('config_invalid', `The log refuses an event: ${messageOf(error)}.`, {
      cause: error,
      hint: 'A compacted topic takes no event without a key: add a primary key, or set cleanup.policy=delete.',
    });
  const failure = toStreamError(error, 'using the log in Kafka');
  if (failure.code === 'source_unreachable' || failure.code === 'internal')
    return new StreamError('log_unavailable', failure.message, { cause: error });
  if (failure.code === 'permission_denied')
    return new StreamError(failure.code, failure.message, {
      cause: error,
      hint: "Grant the user of the log's connection Write, Describe and Create on its topics, the same, Read and AlterConfigs on planasonix.positions.*, and Write and Describe on the transactional ids planasonix.*. The check of the stream names what is missing.",
    });
  return failure;
}

/** It is an event that the log refuses, in the words of `logFailure`; others it may take. */
export const isRefusal = ({ code, cause }: StreamError): boolean =>
  code === 'message_too_large' || (cause instanceof KafkaError && cause.code === INVALID_RECORD);

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
