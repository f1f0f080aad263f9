import { run } from '@planasonix/service';
import { boot } from './boot.js';
import { gatewayEnv } from './env.js';

run(() => boot(gatewayEnv()));
