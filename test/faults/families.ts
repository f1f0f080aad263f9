import type { AnyFault } from './fault.js';
import { frozen } from './frozen.js';
import { kafka } from './kafka.js';
import { intoKafka, kafkaSource } from './kafka-source.js';
import { kills } from './kills.js';
import { mysql } from './mysql.js';
import { network } from './network.js';
import { postgres } from './postgres.js';
import { redis } from './redis.js';
import { store } from './store.js';
import { webhook, webhookIntoKafka } from './webhook.js';

/** Over a source that is read. */
export const FAMILIES = [kills, network, postgres, redis, store, frozen, kafka, mysql];

export const ALL_FAULTS: readonly AnyFault[] = [
  ...FAMILIES.flat(),
  ...webhook,
  ...webhookIntoKafka,
  ...kafkaSource,
  ...intoKafka,
];
