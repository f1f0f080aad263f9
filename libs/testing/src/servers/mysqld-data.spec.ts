import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tempDir } from '../temp-dir.js';
import { newData } from './mysqld-data.js';
import type { Flavor } from './mysqld.js';

describe('the data of a new server', () => {
  const cache = process.env['XDG_CACHE_HOME'];
  let dir: string;
  let made: string;

  beforeEach(() => {
    dir = tempDir('data');
    made = join(dir, 'made');
    process.env['XDG_CACHE_HOME'] = dir;
    writeFileSync(made, '');
  });
  afterEach(() => {
    if (cache === undefined) delete process.env['XDG_CACHE_HOME'];
    else process.env['XDG_CACHE_HOME'] = cache;
  });

  /** @param after what its program does behind the first of its files */
  const flavor = (after = 'true'): Flavor => ({
    name: 'trial',
    binary: process.execPath,
    init: (data) => {
      const script = `cd '${data}' && echo one >> '${made}' && echo rows > table && ${after} && echo uuid > auto.cnf`;
      return { command: 'sh', args: ['-c', script] };
    },
    server: { command: 'false', args: [] },
    settings: {},
  });
  const makings = (): number => readFileSync(made, 'utf8').length / 'one\n'.length;
  const fill = async (of: Flavor, name: string): Promise<string> => {
    await newData(of, join(dir, name));
    return join(dir, name);
  };

  it('are made once and copied; each server is one of its own, and what one writes no other sees', async () => {
    const first = await fill(flavor(), 'first');
    writeFileSync(join(first, 'table'), 'other rows');
    const second = await fill(flavor(), 'second');
    expect([readdirSync(second), readFileSync(join(second, 'table'), 'utf8')]).toEqual([['table'], 'rows\n']);
    expect(makings()).toBe(1);
  });

  it('are made anew where they are made in another way', async () => {
    await fill(flavor(), 'first');
    await fill(flavor('echo more > more'), 'second');
    expect([readdirSync(join(dir, 'first')), readdirSync(join(dir, 'second'))]).toEqual([['table'], ['more', 'table']]);
  });

  it('are whole for all who need them at once', async () => {
    const all = await Promise.all(['a', 'b', 'c'].map((name) => fill(flavor('sleep 0.1 && echo more > more'), name)));
    expect(all.map((one) => readdirSync(one))).toEqual(Array(3).fill(['more', 'table']));
    expect(readdirSync(join(dir, 'planasonix'))).toHaveLength(1);
  });

  it('are not there after making them has failed, and are made by the next who needs them', async () => {
    const broken = flavor(`test -e '${join(dir, 'cured')}'`);
    await expect(fill(broken, 'first')).rejects.toThrow(/Command failed/);
    expect([existsSync(join(dir, 'first')), readdirSync(join(dir, 'planasonix'))]).toEqual([false, []]);
    writeFileSync(join(dir, 'cured'), '');
    expect(readdirSync(await fill(broken, 'second'))).toEqual(['table']);
  });
});
