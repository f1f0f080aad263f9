import { StreamError, type Log, type Outbound } from '@planasonix/core';
import type { Admin } from 'kafkajs';
import type { KafkaCluster } from './client-cluster.js';
import { kafkaJs } from './client.js';
import type { KafkaSettings } from './config.js';
import { KafkaError, toStreamError } from './connection-error.js';
import { askAny } from './producer-ask.js';
import { transactionCoordinatorCall } from './producer-requests.js';

export interface NewTopic {
  readonly topic: string;
  /** -1: as the brokers are set. */
  readonly partitions: number;
  /** -1: as the brokers are set. */
  readonly replicationFactor: number;
  readonly settings?: Readonly<Record<string, string>>;
}

/** Making topics and giving them back; a connection of its own for each time. */
export class TopicAdmin {
  constructor(
    private readonly settings: KafkaSettings,
    private readonly outbound: Outbound,
    private readonly log: Log,
  ) {}

  /** One that is there already is left as it is. @returns whether it was made. */
  create({ topic, partitions, replicationFactor, settings = {} }: NewTopic): Promise<boolean> {
    const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }));
    return this.#with(`making the topic ${topic}`, (admin) =>
      admin.createTopics({
        waitForLeaders: false,
        topics: [{ topic, numPartitions: partitions, replicationFactor, configEntries }],
      }),
    );
  }

  /** Whether the user may make it. Nothing is made. */
  async mayCreate(topic: string): Promise<boolean> {
    try {
      await this.#with(`asking whether ${topic} may be made`, (admin) =>
        admin.createTopics({
          ...{ validateOnly: true, waitForLeaders: false },
          topics: [{ topic, numPartitions: 1, replicationFactor: -1 }],
        }),
      );
      return true;
    } catch (error) {
      if (error instanceof StreamError && error.code === 'permission_denied') return false;
      throw error;
    }
  }

  /** Safe to repeat. */
  remove(topics: readonly string[]): Promise<void> {
    return this.#with('removing topics', async (admin) => {
      try {
        await admin.deleteTopics({ topics: [...topics] });
      } catch (error) {
        if (codeOf(error) !== NO_SUCH_TOPIC) throw error;
      }
    });
  }

  async #with<T>(doing: string, use: (admin: Admin) => Promise<T>): Promise<T> {
    const admin = kafkaJs(this.settings, this.outbound, this.log).admin();
    try {
      await admin.connect();
      return await use(admin);
    } catch (error) {
      const code = codeOf(error);
      throw toStreamError(code === null ? error : new KafkaError(code, doing), doing);
    } finally {
      await admin.disconnect().catch(() => undefined);
    }
  }
}

const NO_SUCH_TOPIC = 3;

/** Of the protocol; kafkajs wraps what the broker said several times. */
function codeOf(error: unknown): number | null {
  for (let at = error, depth = 0; typeof at === 'object' && at !== null && depth < 6; depth++) {
    const code: unknown = Reflect.get(at, 'code');
    if (typeof code === 'number' && code > 0) return code;
    const errors: unknown = Reflect.get(at, 'errors');
    at = Array.isArray(errors) ? errors[0] : Reflect.get(at, 'cause');
  }
  return null;
}

/** Whether the user may write in transactions of this name, as far as that can be told without beginning one. */
export const mayUseTransactions = (cluster: KafkaCluster, transactionalId: string): Promise<boolean> =>
  askAny(cluster, transactionCoordinatorCall(transactionalId)).then(
    () => true,
    (error: unknown) => {
      // The broker that keeps them may not be known yet: it is made by asking.
      if (error instanceof KafkaError) return error.code !== TRANSACTIONS_DENIED;
      throw toStreamError(error, 'asking for the coordinator of the transactions');
    },
  );

const TRANSACTIONS_DENIED = 53;
