import { Pace } from './pace.js';

/** Time that moves when a test says so. */
function manualClock() {
  let now = 5_000;
  let sleepers: { readonly at: number; readonly wake: () => void }[] = [];
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 12; i++) await Promise.resolve();
  };
  return {
    monotonic: () => now,
    sleep: (ms: number, signal?: AbortSignal): Promise<boolean> =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve(false);
        const stop = (): void => {
          sleepers = sleepers.filter((one) => one !== sleeper);
          resolve(false);
        };
        const wake = (): void => {
          signal?.removeEventListener('abort', stop);
          resolve(true);
        };
        const sleeper = { at: now + ms, wake };
        sleepers.push(sleeper);
        signal?.addEventListener('abort', stop, { once: true });
      }),
    get asleep() {
      return sleepers.length;
    },
    /** Wakes everybody in turn. */
    advance: async (ms: number): Promise<void> => {
      const until = now + ms;
      for (;;) {
        await settle();
        const [next] = sleepers.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at);
        if (next === undefined) break;
        now = Math.max(now, next.at);
        sleepers = sleepers.filter((one) => one !== next);
        next.wake();
      }
      now = until;
    },
  };
}

type ManualClock = ReturnType<typeof manualClock>;

/** Rows that came, and when. */
type Came = { readonly at: number; readonly rows: number }[];

/** Chunk after chunk. @param chunk how many of the rows that are asked for there are, and for how long the server looks for them, ms */
async function reads(pace: Pace, clock: ManualClock, came: Came, chunk: (most: number) => [number, number]) {
  for (;;) {
    if (!pace.isDue) {
      await pace.wait();
      continue;
    }
    const most = Math.min(20_000, pace.atOnce);
    const [rows, ms] = chunk(most);
    const allowance = pace.take(most);
    await clock.sleep(ms);
    allowance.came(rows);
    allowance.end();
    if (rows > 0) came.push({ at: clock.monotonic(), rows });
  }
}

const sum = (came: Came): number => came.reduce((all, { rows }) => all + rows, 0);

/** In any span of time. */
function expectBound(came: Came, perSecond: number, burst: number): void {
  for (let from = 0; from < came.length; from++)
    for (let rows = 0, to = from; to < came.length; to++) {
      rows += came[to]!.rows;
      const seconds = (came[to]!.at - came[from]!.at) / 1000;
      if (rows > perSecond * seconds + burst + 1e-6) expect([from, to, rows]).toBe(perSecond * seconds + burst);
    }
}

describe('the pace of the readers of a stream', () => {
  const RATES = [1, 2, 7, 100, 999, 10_000, 200_000];

  it.each(RATES)('holds from the first row on, over all of them together: %d rows/s', async (perSecond) => {
    for (const readers of [1, 3, 8]) {
      const clock = manualClock();
      const pace = new Pace(perSecond, readers, clock);
      const came: Came = [];
      let seed = 7919 * readers;
      const next = (n: number): number => (seed = (seed * 48_271) % 2_147_483_647) % n;
      // Ends of tables, locks that are waited for, and chunks that come at once.
      const chunk = (most: number): [number, number] => [
        next(4) === 0 ? next(most + 1) : most,
        next(6) === 0 ? 1_500 : next(90),
      ];
      for (let i = 0; i < readers; i++) void reads(pace, clock, came, chunk);
      await clock.advance(40_000);
      const burst = Math.max(perSecond, readers + 1);
      expectBound([{ at: 5_000, rows: 0 }, ...came], perSecond, burst);
    }
  });

  it.each(RATES)('is reached where the server is fast: %d rows/s', async (perSecond) => {
    const clock = manualClock();
    const pace = new Pace(perSecond, 3, clock);
    const came: Came = [];
    for (let i = 0; i < 3; i++) void reads(pace, clock, came, (most) => [most, 20]);
    await clock.advance(60_000);
    expect(sum(came)).toBeGreaterThan(perSecond * 58);
  });

  it('a time in which nothing could be read is not made up for, however many wait', async () => {
    const clock = manualClock();
    const pace = new Pace(1_000, 3, clock);
    const came: Came = [];
    let stands = 600_000;
    for (let i = 0; i < 3; i++) void reads(pace, clock, came, (most) => [most, stands]);
    await clock.advance(10_000);
    stands = 5;
    await clock.advance(589_999);
    expect(came).toEqual([]);
    await clock.advance(1_001);
    expect(sum(came)).toBeGreaterThan(900);
    expect(sum(came)).toBeLessThanOrEqual(2_000);
    await clock.advance(60_000);
    expectBound(came, 1_000, 1_000);
  });

  it('time that has passed is not given back with rows that did not come', async () => {
    const clock = manualClock();
    const pace = new Pace(100, 1, clock);
    const first = pace.take(50);
    await clock.advance(10_000);
    const second = pace.take(50);
    first.end();
    expect(pace.isDue).toBe(false);
    await clock.advance(100);
    second.end();
    expect(pace.isDue).toBe(true);
  });

  it('small tables take only the time of the rows that they have', async () => {
    const clock = manualClock();
    const pace = new Pace(1_000, 3, clock);
    const came: Came = [];
    for (let i = 0; i < 3; i++) void reads(pace, clock, came, () => [1, 3]);
    await clock.advance(10_000);
    expect(sum(came)).toBeGreaterThan(2_000);
    expectBound(came, 1_000, 1_000);
  });

  it('rows that came unasked for are waited for too', async () => {
    const clock = manualClock();
    const pace = new Pace(100, 1, clock);
    const allowance = pace.take(50);
    allowance.came(30);
    expect(allowance.left).toBe(20);
    allowance.came(120);
    expect(allowance.left).toBe(0);
    const next = pace.next(50);
    let at = 0;
    void next.then(() => (at = clock.monotonic()));
    await clock.advance(1_499);
    expect(at).toBe(0);
    await clock.advance(2);
    expect(at).toBe(6_500);
    expect((await next)!.left).toBe(50);
  });

  it('nobody waits any more once all is over', async () => {
    const clock = manualClock();
    const over = new AbortController();
    const pace = new Pace(1, 3, clock, over.signal);
    pace.take(1);
    const [next, wait] = [pace.next(1), pace.wait()];
    await clock.advance(10);
    expect(clock.asleep).toBe(2);
    over.abort();
    expect([await next, await wait, await pace.next(1), clock.asleep]).toEqual([null, undefined, null, 0]);
  });

  it('waits for nothing where no rate is set', async () => {
    const clock = manualClock();
    const pace = new Pace(Infinity, 3, clock);
    const all = [1_000_000, pace.atOnce].map((rows) => pace.take(rows));
    for (const allowance of all) allowance.came(2_000_000);
    all[1]!.end();
    expect([pace.isDue, (await pace.next(20_000))?.rows]).toEqual([true, 20_000]);
  });
});
