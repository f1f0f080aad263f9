import { systemClock } from './clock.js';

describe('the system clock', () => {
  it('never wakes a sleeper before its time, not by a fraction', async () => {
    const early: number[] = [];
    const sleeps = Array.from({ length: 200 }, async (_, i) => {
      const began = systemClock.monotonic();
      const ms = 1 + i / 13;
      await systemClock.sleep(ms);
      const short = ms - (systemClock.monotonic() - began);
      if (short > 0) early.push(short);
    });
    // A loop that is busy counts its timers from a moment that is long gone.
    for (const until = performance.now() + 15; performance.now() < until;);
    await Promise.all(sleeps);
    expect(early).toEqual([]);
  });

  it('wakes at once when it is called off', async () => {
    const off = new AbortController();
    const slept = systemClock.sleep(60_000, off.signal);
    off.abort();
    expect(await slept).toBe(false);
    expect(await systemClock.sleep(60_000, off.signal)).toBe(false);
  });
});
