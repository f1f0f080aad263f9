import type { SourceType } from '@planasonix/core';
import { configJsonSchema } from './config.js';
import { testConnection } from './connection-test.js';
import { KafkaSource } from './source.js';

export const kafkaIngest: SourceType = {
  type: 'kafka',
  connectionTypes: ['kafka'],
  configSchema: configJsonSchema,
  spreads: true,
  create: (context) => new KafkaSource(context),
  testConnection,
};
