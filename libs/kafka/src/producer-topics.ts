import { StreamError } from '@planasonix/core';
import type { KafkaCluster } from './client-cluster.js';
import type { KafkaClient, NewTopic, Reach } from './client.js';
import { KafkaError, toStreamError } from './connection-error.js';
import { CLIENT } from './default-client.js';
import { askAny } from './producer-ask.js';
import { transactionCoordinatorCall } from './producer-requests.js';

/** Making topics and giving them back; a connection of its own for each time. */
export class TopicAdmin {
  constructor(
    private readonly reach: Reach,
    private readonly client: KafkaClient = CLIENT,
  ) {}

  /** One that is there already is left as it is. @returns whether it was made. */
  create(topic: NewTopic): Promise<boolean> {
    return told(`making the topic ${topic.topic}`, this.client.createTopic(this.reach, topic, { trial: false }));
  }

  /** Whether the user may make it. Nothing is made. */
  async mayCreate(topic: string): Promise<boolean> {
    const like = { topic, partitions: 1, replicationFactor: -1 };
    try {
      await told(`asking whether ${topic} may be made`, this.client.createTopic(this.reach, like, { trial: true }));
      return true;
    } catch (error) {
      if (error instanceof StreamError && error.code === 'permission_denied') return false;
      throw error;
    }
  }

  /** Safe to repeat. */
  async remove(topics: readonly string[]): Promise<void> {
    await told(
      'removing topics',
      this.client.removeTopics(this.reach, topics).catch((error: unknown) => {
        if (!(error instanceof KafkaError) || error.code !== NO_SUCH_TOPIC) throw error;
      }),
    );
  }
}

const NO_SUCH_TOPIC = 3;

const told = <T>(doing: string, asked: Promise<T>): Promise<T> =>
  asked.catch((error: unknown) => {
    throw toStreamError(error, doing);
  });

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
