import { systemClock, type Clock, type Intake } from '@planasonix/core';
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

it('nobody waits longer than he said, also while Redis does not answer (trap 29)', async () => {
  const { sent, connect } = slowRedis();
  let [now, wake] = [1_000, () => {}];
  const clock: Clock = {
    ...{ now: () => now, monotonic: () => now },
    sleep: (ms) => new Promise((resolve) => (wake = () => resolve(((now += ms), true)))),
  };
  const inlet = new RedisInlet({ maxEntries: 1_000, onFull: 'block' }, connect, clock);
  const until = now + 3_000;
  const told = inlet.append('stalled', 1, intake, until).catch(({ code }: { code: string }) => [code, now <= until]);
  let isTold = false;
  void told.then(() => (isTold = true));
  for (let i = 0; !isTold && i < 100; i++) {
    wake();
    await new Promise(setImmediate);
  }
  expect([sent.length, isTold]).toEqual([1, true]);
  expect(await told).toEqual(['log_unavailable', true]);
  await inlet.close();
});
