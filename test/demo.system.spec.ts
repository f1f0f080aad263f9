import { eventually } from '@planasonix/testing';
import { launched } from './launched.js';

jest.setTimeout(300_000);

const demo = (...args: string[]) => launched(['apps/standalone/run.mjs', 'demo', ...args], process.env);

describe('npm run demo', () => {
  it('with an end compares the folded log with the tables, says that they are equal, and leaves no process behind', async () => {
    const { out, ended, left } = demo('--seconds', '6');
    const code = await ended;
    expect(out.text).toMatch(/EQUAL: [\d,]+ rows in 6 tables/);
    expect(out.text).toContain('0 repeated ids');
    expect(code).toBe(0);
    await left();
  });

  it('into Kafka is read back by another client, whole transactions alone, and is equal', async () => {
    const { out, ended, left } = demo('--kafka', '--seconds', '3');
    const code = await ended;
    expect(out.text).toMatch(/EQUAL: [\d,]+ rows in 6 tables/);
    expect(out.text).toContain('0 repeated ids');
    expect(out.text).toContain('isolation.level=read_committed');
    expect(code).toBe(0);
    await left();
  });

  it('over MariaDB is equal', async () => {
    const { out, ended, left } = demo('--mysql', '--seconds', '3');
    const code = await ended;
    expect(out.text).toMatch(/EQUAL: [\d,]+ rows in 6 tables/);
    expect(out.text).toContain('0 repeated ids');
    expect(code).toBe(0);
    await left();
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('ends with all that it started at %s', async (signal) => {
    const { child, out, ended, left } = demo();
    // Amid its start, or running.
    const sign = signal === 'SIGINT' ? 'running' : 'Starting the apps';
    await eventually('it has begun', () => out.text.includes(sign), { timeoutMs: 90_000 });
    child.kill(signal);
    expect(await ended).toBe(0);
    await left();
  });
});
