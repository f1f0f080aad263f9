import type { SourceType } from '@planasonix/core';
import { configJsonSchema } from './config.js';
import { testConnection } from './connection-test.js';
import { MySqlSource } from './source.js';

export const mysqlCdc: SourceType = {
  type: 'mysql_cdc',
  connectionTypes: ['mysql', 'mariadb'],
  configSchema: configJsonSchema,
  create: (context) => new MySqlSource(context),
  testConnection,
};
