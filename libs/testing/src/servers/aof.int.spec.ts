import { readdirSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { startRedis } from './redis.js';

/** As a log appends. */
const BATCH = `
  for i = 1, 5 do redis.call('XADD', KEYS[1], '*', 'id', ARGV[1] .. i) end
  redis.call('SET', KEYS[2], ARGV[1])
  return redis.status_reply('OK')`;

describe('a Redis that is killed while it writes a transaction', () => {
  it('has nothing of it, also after the next one and another kill', async () => {
    const redis = await startRedis();
    try {
      const append = (name: string) => redis.client().eval(BATCH, 2, 'entries', 'position', name);
      await append('a');
      await append('b');
      await redis.kill();
      const folder = join(redis.dir, 'appendonlydir');
      const file = join(
        folder,
        readdirSync(folder).find((name) => name.endsWith('.incr.aof'))!,
      );
      truncateSync(file, statSync(file).size - 60);
      await redis.start();
      await append('c');
      await redis.kill();
      await redis.start();
      const entries = await redis.client().xrange('entries', '-', '+');
      expect(entries.map(([, [, name]]) => name)).toEqual(
        ['a', 'c'].flatMap((of) => [1, 2, 3, 4, 5].map((n) => of + n)),
      );
    } finally {
      await redis.stop();
    }
  });
});
