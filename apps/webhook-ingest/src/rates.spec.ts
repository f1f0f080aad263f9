import { systemClock, type Clock } from '@planasonix/core';
import { Rates } from './rates.js';

describe('rates', () => {
  let now = 0;
  const clock: Clock = { ...systemClock, monotonic: () => now };
  beforeEach(() => (now = 1_000));

  /** How many are let through at once. */
  const through = (rates: Rates, name: string, tries: number, perSecond: number): number =>
    Array.from({ length: tries }, () => rates.take(name, perSecond)).filter((wait) => wait === 0).length;

  it('a second’s worth at once, then as fast as they may come; what is told to wait is let through after it', () => {
    const rates = new Rates(clock);
    expect(through(rates, 'a', 20, 10)).toBe(10);
    const wait = rates.take('a', 10);
    expect(wait).toBe(100);
    now += wait;
    expect(rates.take('a', 10)).toBe(0);
    expect(rates.take('a', 10)).toBeGreaterThan(0);
    now += 3_600_000;
    expect(through(rates, 'a', 20, 10)).toBe(10);
    expect(through(rates, 'b', 20, 10)).toBe(10);
  });

  it('whoever goes on sending is not forgotten for others, however many come (Invariant 6)', () => {
    const rates = new Rates(clock);
    expect(through(rates, 'active', 20, 5)).toBe(5);
    for (let round = 0; round < 5; round++) {
      for (let other = 0; other < 24_900; other++) rates.take(`${round}/${other}`, 5);
      expect(rates.take('active', 5)).toBeGreaterThan(0);
    }
  });

  it('who has been silent for longest is forgotten, and then may send a second’s worth as after any such silence', () => {
    const rates = new Rates(clock);
    expect(through(rates, 'silent', 20, 5)).toBe(5);
    now += 1_000;
    for (let other = 0; other < 50_000; other++) rates.take(`${other}`, 5);
    expect(through(rates, 'silent', 20, 5)).toBe(5);
    expect(through(rates, '49999', 20, 5)).toBe(4);
  });
});
