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

  it('of webhooks delivers as three vendors do: each confirmed delivery is in the log once, no forged one is', async () => {
    const { out, ended, left } = demo('--webhook', '--seconds', '3');
    const code = await ended;
    const told =
      /^ +\S.* ([\d]+) confirmed, ([\d]+) repeats, ([\d]+) forged refused; ([\d]+) events in the log: equal$/gm;
    const accounts = [...out.text.matchAll(told)].map((found) => found.slice(1).map(Number));
    expect([accounts.length, out.text.includes('NOT EQUAL')]).toEqual([3, false]);
    for (const [confirmed, repeats, refused, events] of accounts as [number, number, number, number][]) {
      const sent = confirmed + refused;
      expect([events, refused]).toEqual([confirmed, Math.floor(sent / 50)]);
      expect(repeats).toBe(Math.floor(sent / 10) - refused);
      expect(sent).toBeGreaterThan(10);
    }
    expect(code).toBe(0);
    await left();
  });

  it('does not know two wishes that exclude each other', async () => {
    const { out, ended } = demo('--webhook', '--kafka');
    expect(await ended).toBe(1);
    expect(out.text).toContain('Usage: npm run demo');
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
