import { runConnector } from '@planasonix/worker';
import { postgresCdc } from './source-type.js';

runConnector(postgresCdc);
