import { plot, slope, verdictOf, type Life } from './memory.js';

/** A life that begins at `from` minutes and grows by `perMinute` MiB. */
const life = (from: number, minutes: number, perMinute: number, pid = from): Life => ({
  app: 'worker',
  pid,
  samples: Array.from({ length: minutes * 30 }, (_, i) => ({
    at: from * 60_000 + i * 2000,
    mib: 100 + (perMinute * i) / 30 + (i % 2),
  })),
});

describe('memory of the soak', () => {
  it('is a line through each life, in MiB an hour', () => {
    expect(slope(life(0, 10, 2).samples)).toBeCloseTo(120, 0);
    expect(slope(life(0, 1, 2).samples)).toBeNull();
  });

  it('is flat where it is, and not where it grows, over one life or over several', () => {
    expect(verdictOf('worker', [life(0, 60, 0)], 60)).toMatchObject({ lives: 1, flat: true });
    expect(verdictOf('worker', [life(0, 60, 2)], 60).flat).toBe(false);
    // 20 MiB in a quarter of an hour are no noise; in five minutes they may be.
    expect(verdictOf('worker', [life(0, 16, 1.33)], 60).flat).toBe(false);
    expect(verdictOf('worker', [life(0, 6, 4)], 60).flat).toBe(true);
    // Each ends before it has become large: what a new life frees is not taken for memory that was given back.
    const several = Array.from({ length: 6 }, (_, i) => life(i * 10, 10, 4));
    expect(verdictOf('worker', several, 60)).toMatchObject({ lives: 6, flat: false });
    expect(verdictOf('worker', [], 60)).toMatchObject({ lives: 0 });
  });

  it('is drawn with the beginning of each new life', () => {
    const line = plot('worker', [life(0, 10, 5), life(10, 10, 5)], 20 * 60_000);
    expect(line.match(/\|/g)).toHaveLength(1);
    expect(line).toMatch(/▁.*█.*\|.*▁.*█/);
    expect(line).toMatch(/10\d to 1\d\d MiB$/);
  });
});
