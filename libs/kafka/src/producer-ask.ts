import { StreamError } from '@planasonix/core';
import type { KafkaCluster } from './client-cluster.js';
import type { Call } from './client.js';
import { KafkaError, MOVED } from './connection-error.js';

/** What any broker can answer, from the first one that does. @throws KafkaError, StreamError, what the network said */
export async function askAny<R>(cluster: KafkaCluster, call: Call<R>): Promise<R> {
  const { brokers } = await cluster.view([]);
  let failure: unknown = new StreamError('source_unreachable', 'The cluster names no broker.');
  for (const node of brokers.keys()) {
    try {
      return await cluster.send(node, 'ask', call);
    } catch (error) {
      if (error instanceof KafkaError && !MOVED.has(error.code)) throw error;
      failure = error;
    }
  }
  throw failure;
}
