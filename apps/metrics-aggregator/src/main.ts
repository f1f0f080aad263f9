import { endAfterCheck, run } from '@planasonix/service';
import { boot, NAME } from './boot.js';
import { readAggregatorEnv } from './env.js';

run(() => {
  const env = readAggregatorEnv();
  endAfterCheck(NAME);
  return boot(env);
});
