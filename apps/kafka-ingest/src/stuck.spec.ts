import { Handed, StuckAt } from './stuck.js';

const batch = (partition: string, position: string | null) => ({ partition, events: [], position });
const never = new AbortController().signal;

describe('what was handed over before a place that can not be passed (Invariant 2)', () => {
  it('is waited for, the newest of each partition', async () => {
    const handed = new Handed();
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

  it('is not waited for where nobody reads any more', async () => {
    const handed = new Handed();
    handed.add(batch('a/0', '1'));
    const over = new AbortController();
    let landed = false;
    const waiting = handed.landed(over.signal).then(() => (landed = true));
    await new Promise(setImmediate);
    expect(landed).toBe(false);
    over.abort();
    await waiting;
    await handed.landed(over.signal);
  });

  it('is what a hint counts on that names the position behind it', () => {
    const beyond = { first: 'Mend it.', without: '4', next: 5 };
    expect(new StuckAt('event_unsupported', 'a/7: no', { topic: 'a', partition: 7 }, beyond)).toMatchObject({
      recourse: 'fatal',
      hint: 'Mend it. To go on without 4, stop the stream and set its position (PUT …/position) to {"a":{"7":5}}.',
    });
  });
});
