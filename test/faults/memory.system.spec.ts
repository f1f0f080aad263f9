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

/** Rises by 25 MiB in 40 s, and falls again. */
const sawtooth = (minutes: number, phase: number): Life => {
  const { samples, ...rest } = life(0, minutes, 0);
  return { ...rest, samples: samples.map(({ at, mib }) => ({ at, mib: mib + 25 * ((at / 40_000 + phase) % 1) })) };
};

const BOUND = 10;
const flat = (lives: readonly Life[]): boolean => verdictOf('worker', lives, BOUND).flat;

describe('memory of the soak', () => {
  it('is a line through each life, in MiB an hour', () => {
    expect(slope(life(0, 10, 2).samples)).toBeCloseTo(120, 0);
    expect(slope(life(0, 1, 2).samples)).toBeNull();
  });

  it('is flat where it is, and not where it grows, over one life or over several', () => {
    expect(flat([life(0, 60, 0)])).toBe(true);
    expect(flat([life(0, 60, 2)])).toBe(false);
    // 20 MiB in ten minutes are no noise; in five minutes they may be.
    expect(flat([life(0, 16, 2)])).toBe(false);
    expect(flat([life(0, 7, 4)])).toBe(true);
    // Each ends before it has become large: what a new life frees is not taken for memory that was given back.
    const several = Array.from({ length: 6 }, (_, i) => life(i * 10, 10, 5));
    expect(verdictOf('worker', several, BOUND).lives).toHaveLength(6);
    expect(flat(several)).toBe(false);
    expect(verdictOf('worker', [], BOUND)).toMatchObject({ lives: [], worst: null });
  });

  it('is judged life by life: many short ones that are flat, or shrink, buy nothing for a long one that leaks', () => {
    const short = Array.from({ length: 20 }, (_, i) => life(i * 4, 4, i % 2 === 0 ? 0 : -2));
    expect(flat(short)).toBe(true);
    const leaking = life(80, 31, 1);
    const found = verdictOf('worker', [...short, leaking], BOUND);
    expect(found.flat).toBe(false);
    expect(found.worst?.hours).toBeCloseTo(20.7 / 60, 2);
    expect(found.worst?.grownMib).toBeCloseTo(20.7, 0);
  });

  it('may grow the less in an hour the longer it was looked at', () => {
    expect(flat([life(0, 16, 25 / 10)])).toBe(false);
    expect(flat([life(0, 181, 30 / 60)])).toBe(false);
    expect(flat([life(0, 181, 15 / 60)])).toBe(false);
    expect(flat([life(0, 181, 8 / 60)])).toBe(true);
  });

  it('is flat where the garbage collector lets it rise and fall', () => {
    for (const minutes of [4, 5, 8, 10, 30, 180])
      for (const phase of [0, 0.25, 0.5, 0.75]) expect(flat([sawtooth(minutes, phase)])).toBe(true);
  });

  it('is flat in a healthy worker, as it was seen each 16 s of 8 minutes under load', () => {
    const seen = [
      20, 206, 235, 240, 250, 278, 290, 294, 296, 292, 297, 297, 298, 300, 309, 292, 289, 295, 295, 299, 310, 305, 305,
      306, 309, 310, 310, 310, 310, 310, 310,
    ];
    for (let n = 15; n <= seen.length; n++) {
      const samples = seen.slice(0, n).map((mib, i) => ({ at: i * 16_000, mib }));
      expect(flat([{ app: 'worker', pid: 1, samples }])).toBe(true);
    }
  });

  it('is drawn with the beginning of each new life', () => {
    const line = plot('worker', [life(0, 10, 5), life(10, 10, 5)], 20 * 60_000);
    expect(line.match(/\|/g)).toHaveLength(1);
    expect(line).toMatch(/▁.*█.*\|.*▁.*█/);
    expect(line).toMatch(/10\d to 1\d\d MiB$/);
  });
});
