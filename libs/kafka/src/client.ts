import type { Log, Outbound } from '@planasonix/core';
import type { WireReader, WireWriter } from './client-wire.js';
import type { BrokerAddress, KafkaSettings } from './config.js';

export const CLIENT_ID = 'planasonix';
export const CONNECT_MS = 5_000;

/** One request of the protocol, of a flexible version (request header 2, response header 1). */
export interface Call<R> {
  readonly name: string;
  readonly key: number;
  /** The versions that we can speak, the newest first. */
  readonly versions: readonly number[];
  encode(to: WireWriter, version: number): unknown;
  decode(from: WireReader, version: number): R;
}

/** One connection to one broker, logged in. */
export interface Link {
  /** Highest version of each API that the broker speaks; -1 for those that it does not. */
  highest(apiKey: number): number;
  readonly open: boolean;
  /** Answers come in the order of the requests, each within `requestMs` or not at all: nothing is sent again by itself. */
  send<R>(call: Call<R>): Promise<R>;
  /** At once; what waits for an answer fails. Safe to repeat. */
  close(): void;
}

/** How a cluster is reached. */
export interface Reach {
  readonly settings: KafkaSettings;
  /** Judges each address at each dialling, and says which one is dialled (trap 34). */
  readonly outbound: Outbound;
  readonly log: Log;
}

export interface LinkOptions extends Reach {
  readonly clientId: string;
  readonly connectMs: number;
  readonly requestMs: number;
  /** Called where no answer came in time; the connection is closed by then. */
  readonly onSilence?: () => void;
}

export interface NewTopic {
  readonly topic: string;
  /** -1: as the brokers are set. */
  readonly partitions: number;
  /** -1: as the brokers are set. */
  readonly replicationFactor: number;
  readonly settings?: Readonly<Record<string, string>>;
}

/**
 * All that is used of a Kafka client; what is read and written over it is ours. Every method rejects with what
 * `toStreamError` understands: a `KafkaError` for what a broker answered, the socket's error with its `code`, the outbound
 * policy's own. No error, and no line of the log, has a secret in it.
 */
export interface KafkaClient {
  readonly name: string;
  /** Dials, asks for the versions, logs in over TLS and SASL (PLAIN, SCRAM-SHA-256 and -512). */
  open(broker: BrokerAddress, options: LinkOptions): Promise<Link>;
  /**
   * Over connections of its own.
   * @param options.trial nothing is made: whether it could be
   * @returns `false`: it is there already, and stays as it is
   */
  createTopic(of: Reach, topic: NewTopic, options: { readonly trial: boolean }): Promise<boolean>;
  /** Over connections of its own. @throws KafkaError 3 where one of them is not there */
  removeTopics(of: Reach, topics: readonly string[]): Promise<void>;
}
