import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mendAof } from './aof.js';
import { startRedis, type Redis } from './redis.js';

/** As a log appends. */
const BATCH = `
  for i = 1, 5 do redis.call('XADD', KEYS[1], '*', 'id', ARGV[1] .. i) end
  redis.call('SET', KEYS[2], ARGV[1])
  return redis.status_reply('OK')`;

const fileOf = ({ dir }: Redis): string => {
  const folder = join(dir, 'appendonlydir');
  return join(
    folder,
    readdirSync(folder).find((name) => name.endsWith('.incr.aof'))!,
  );
};

describe('a Redis that is killed while it writes a transaction', () => {
  it('has nothing of it, also after the next one and another kill', async () => {
    const redis = await startRedis();
    try {
      const append = (name: string) => redis.client().eval(BATCH, 2, 'entries', 'position', name);
      await append('a');
      await append('b');
      await redis.kill();
      const file = fileOf(redis);
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

  it('keeps a file that is damaged elsewhere as it is: what is behind the damage may be mended', async () => {
    const redis = await startRedis();
    try {
      for (const name of ['a', 'b']) await redis.client().eval(BATCH, 2, 'entries', 'position', name);
      await redis.kill();
      const file = fileOf(redis);
      const damaged = readFileSync(file);
      damaged.write('?', damaged.indexOf('XADD') - 6);
      writeFileSync(file, damaged);
      mendAof(redis.dir);
      expect(readFileSync(file).equals(damaged)).toBe(true);
    } finally {
      await redis.stop();
    }
  });
});
