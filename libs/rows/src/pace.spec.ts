import { Pace } from './pace.js';

describe('the pace of a reader', () => {
  const started = (perSecond: number) => {
    const slept: number[] = [];
    const clock = { now: 5000, monotonic: () => clock.now, sleep: (ms: number) => Promise.resolve(slept.push(ms) > 0) };
    return { pace: new Pace(perSecond, clock), clock, slept };
  };

  it('leaves rows as much time as they have to take, less what they took', async () => {
    const { pace, clock, slept } = started(1000);
    clock.now += 500;
    await pace.keep(20_000);
    clock.now += 30_000;
    await pace.keep(20_000);
    expect(slept).toEqual([19_500]);
  });

  it('waits a moment in any case where it is told to, and not longer for that', async () => {
    const { pace, slept } = started(1000);
    await pace.keep(10, 100);
    await pace.keep(20_000, 100);
    expect(slept).toEqual([100, 20_000]);
  });

  it('does not make up for a time in which nobody took rows, but for a moment', async () => {
    const { pace, clock, slept } = started(1000);
    await pace.keep(1000);
    clock.now += 540_000;
    await pace.keep(2000);
    await pace.keep(3000);
    await pace.keep(4000);
    expect(slept).toEqual([1000, 1000]);
  });

  it('waits for nothing where no rate is set', async () => {
    const { pace, slept } = started(Infinity);
    await pace.keep(1_000_000);
    expect(slept).toEqual([]);
  });
});
