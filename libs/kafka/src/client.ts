import type { Log, Outbound } from '@planasonix/core';
import { Kafka, logLevel, type RetryOptions, type SASLOptions } from 'kafkajs';
import { addressText, type KafkaSettings } from './config.js';
import { logCreator } from './connection-log.js';
import { socketFactory } from './connection-socket.js';

export interface ClientOptions {
  readonly clientId?: string;
  /** kafkajs' own: how long it tries by itself before an error reaches us. Default: hardly. */
  readonly retry?: RetryOptions;
  /** Milliseconds; also how long a dead network goes unnoticed. */
  readonly requestTimeoutMs?: number;
}

export const CLIENT_ID = 'planasonix';
export const CONNECT_MS = 5_000;
const REQUEST_MS = 20_000;

/**
 * kafkajs' own client, for what is not read here: producers and administration. Every advertised address is judged by
 * the outbound policy when it is dialled.
 */
export function kafkaJs(settings: KafkaSettings, outbound: Outbound, log: Log, options: ClientOptions = {}): Kafka {
  return new Kafka({
    clientId: options.clientId ?? CLIENT_ID,
    brokers: settings.brokers.map(addressText),
    // kafkajs hands this to the socket factory and only asks whether it is there.
    ssl: settings.tls !== null,
    ...(settings.sasl === null ? {} : { sasl: { ...settings.sasl } as SASLOptions }),
    socketFactory: socketFactory(settings, outbound),
    connectionTimeout: CONNECT_MS,
    authenticationTimeout: CONNECT_MS,
    requestTimeout: options.requestTimeoutMs ?? REQUEST_MS,
    retry: { initialRetryTime: 20, maxRetryTime: 1000, retries: 2, ...options.retry },
    logLevel: logLevel.WARN,
    logCreator: logCreator(log),
  });
}
