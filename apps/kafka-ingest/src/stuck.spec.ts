import { systemClock, type Clock } from '@planasonix/core';
import { Handed, StuckAt } from './stuck.js';

const batch = (partition: string, position: string | null) => ({ partition, events: [], position });
const never = new AbortController().signal;

/** Time that passes when the test says so. */
function clockThatHolds() {
  let pass: () => void = () => undefined;
  const sleep: Clock['sleep'] = (_ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve(false);
      pass = () => resolve(true);
      signal?.addEventListener('abort', () => resolve(false), { once: true });
    });
  return { clock: { ...systemClock, sleep }, pass: () => pass() };
}

describe('what was handed over before a place that can not be passed (Invariant 2)', () => {
  it('is waited for, the newest of each partition', async () => {
    const handed = new Handed(clockThatHolds().clock);
    handed.add(batch('a/0', '1'));
    handed.add(batch('a/0', '2'));
    handed.add(batch('a/1', '1'));
    handed.add(batch('a/1', null));
    let landed = false;
    const waiting = handed.landed(never).then(() => (landed = true));
    for (const [partition, position] of [
      ['a/0', '1'],
      ['a/1', '1'],
    ] as const) {
      handed.durable(partition, position);
      await new Promise(setImmediate);
      expect(landed).toBe(false);
    }
    handed.durable('a/0', '2');
    await waiting;
    await handed.landed(never);
  });

  it('is told of in place of it where it does not become durable, and not waited for where nobody reads any more', async () => {
    const time = clockThatHolds();
    const handed = new Handed(time.clock);
    handed.add(batch('a/0', '1'));
    const waiting = expect(handed.landed(never)).rejects.toMatchObject({ code: 'log_unavailable', recourse: 'retry' });
    time.pass();
    await waiting;
    await handed.landed(AbortSignal.abort());
  });

  it('is what a hint counts on that names the position behind it', () => {
    const beyond = { first: 'Mend it.', without: '4', next: 5 };
    expect(new StuckAt('event_unsupported', 'a/7: no', { topic: 'a', partition: 7 }, beyond)).toMatchObject({
      recourse: 'fatal',
      hint: 'Mend it. To go on without 4, stop the stream and set its position (PUT …/position) to {"a":{"7":5}}.',
    });
  });
});
