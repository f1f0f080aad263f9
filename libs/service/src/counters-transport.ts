import type { MicroserviceOptions } from '@nestjs/microservices';
import type { Log } from '@planasonix/core';
import type { ServiceEnv } from './env.js';
import { kafkaEmitter, kafkaMicroservice, type KafkaTransport } from './kafka-transport.js';
import type { Emitter } from './lossy-emitter.js';
import { redisEmitter, redisMicroservice } from './redis-transport.js';

/** Which group of readers the aggregators are, however many of them run. */
export const COUNTERS_GROUP = 'planasonix-aggregator';

type CountersEnv = Pick<
  ServiceEnv,
  | 'METRICS_TRANSPORT'
  | 'REDIS_URL'
  | 'METRICS_KAFKA_BROKERS'
  | 'METRICS_KAFKA_TLS'
  | 'METRICS_KAFKA_MECHANISM'
  | 'METRICS_KAFKA_USERNAME'
  | 'METRICS_KAFKA_PASSWORD'
>;

function kafkaTransport(env: CountersEnv): KafkaTransport {
  const { METRICS_KAFKA_USERNAME: username, METRICS_KAFKA_PASSWORD: password } = env;
  return {
    brokers: env.METRICS_KAFKA_BROKERS,
    tls: env.METRICS_KAFKA_TLS,
    sasl:
      username === undefined ? null : { mechanism: env.METRICS_KAFKA_MECHANISM, username, password: password ?? '' },
  };
}

/** Where counters go out: Redis, or Kafka where `METRICS_TRANSPORT` says so. Lossy: the next report holds the same and more. */
export const countersEmitter = (env: CountersEnv, log: Log): Emitter =>
  env.METRICS_TRANSPORT === 'kafka' ? kafkaEmitter(kafkaTransport(env), log) : redisEmitter(env.REDIS_URL, log);

/** Where they come in. */
export const countersMicroservice = (env: CountersEnv, log: Log): MicroserviceOptions =>
  env.METRICS_TRANSPORT === 'kafka'
    ? kafkaMicroservice(kafkaTransport(env), COUNTERS_GROUP, log)
    : redisMicroservice(env.REDIS_URL);
