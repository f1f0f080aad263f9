import { endAfterCheck, run } from '@planasonix/service';
import { boot } from './boot.js';
import { gatewayEnv } from './env.js';

run(() => {
  const env = gatewayEnv();
  endAfterCheck('api-gateway');
  return boot(env);
});
