import { systemClock, type Intake } from '@planasonix/core';
import type { Redis } from 'ioredis';
import { RedisInlet } from './redis-inlet.js';

/** A Redis that answers groups when it is told to. */
function slowRedis() {
  const [sent, answers]: [string[], (() => void)[]] = [[], []];
  const redis = {
    ...{ on: () => redis, defineCommand: () => undefined, disconnect: () => undefined },
    config: () => Promise.resolve(['appendonly', 'yes', 'appendfsync', 'always']),
    plnxTake: (keys: number, ...args: (string | number)[]) => {
      sent.push(String(args[0]));
      return new Promise((resolve) => answers.push(() => resolve([0, ...Array<number>(keys / 2 - 1).fill(0)])));
    },
  };
  const answer = () => answers.shift()!();
  return { sent, answer, connect: () => redis as unknown as Redis };
}

const intake = { parts: [{ partitionkey: '', data: Buffer.from('{}') }] } as unknown as Intake;

it('a stream that has nothing under way is not behind the next group of another one', async () => {
  const { sent, answer, connect } = slowRedis();
  const inlet = new RedisInlet({ maxEntries: 1_000, onFull: 'block' }, connect, systemClock);
  const append = (id: string) => inlet.append(id, 1, intake, Infinity);
  const turn = () => new Promise(setImmediate);
  const first = append('flooded');
  await turn();
  const second = append('flooded');
  expect(sent).toEqual(['plnx:events:{flooded}']);
  // It comes, and later in the same turn Redis answers.
  const other = turn().then(() => append('other'));
  setImmediate(answer);
  await turn();
  await turn();
  expect(sent.map((key) => key.slice(12))).toEqual(['{flooded}', '{other}', '{flooded}']);
  answer();
  answer();
  expect((await Promise.all([first, second, other])).map(({ kind }) => kind)).toEqual(Array(3).fill('written'));
  await inlet.close();
});
