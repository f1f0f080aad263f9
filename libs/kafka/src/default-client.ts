import type { KafkaClient } from './client.js';
import { kafkaJsClient } from './kafkajs/kafkajs-client.js';

/** The one that everything goes over. */
export const CLIENT: KafkaClient = kafkaJsClient;
