import { runConnector } from '@planasonix/worker';
import { kafkaIngest } from './source-type.js';

runConnector(kafkaIngest, 'kafka-ingest');
