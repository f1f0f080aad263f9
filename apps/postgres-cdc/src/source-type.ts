import type { SourceType } from '@planasonix/core';
import { configJsonSchema } from './config.js';
import { testConnection } from './connection-test.js';
import { PostgresSource } from './source.js';

export const postgresCdc: SourceType = {
  type: 'postgres_cdc',
  connectionTypes: ['postgres'],
  configSchema: configJsonSchema,
  create: (context) => new PostgresSource(context),
  testConnection,
};
