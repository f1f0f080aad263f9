import { runConnector } from '@planasonix/worker';
import { mysqlCdc } from './source-type.js';

runConnector(mysqlCdc, 'mysql-cdc');
