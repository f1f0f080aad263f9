import type { KafkaClient } from './index.js';
import { kafkaJsClient } from './kafkajs/kafkajs-client.js';

/** Each has to pass every suite that goes over a client: for `describe.each`, with its name. */
export const CLIENTS: readonly (readonly [name: string, client: KafkaClient])[] = [kafkaJsClient].map((client) => [
  client.name,
  client,
]);
