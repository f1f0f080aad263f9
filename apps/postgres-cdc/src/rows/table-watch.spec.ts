import fc from 'fast-check';
import { TableWatch, SHUT, Sift } from './table-watch.js';
import { ReplayedUntil, VisibleTransactions } from './visibility.js';

const change = (xid: number, key: string, more: object = {}) => ({
  ...{
    subject: 'public.t',
    op: 'u' as const,
    xid,
    commitLsn: BigInt(xid),
    key,
    moved: false,
    hole: null,
    by: [{ name: 'id', typeOid: 23 }],
  },
  ...more,
});

function watching(moved: (key: readonly string[]) => void = () => undefined, spares: string | null = null): TableWatch {
  const watch = new TableWatch(moved, spares);
  watch.reading = true;
  return watch;
}

describe('what a snapshot sees', () => {
  it('goes by visibility, not by number alone (trap 13)', () => {
    const seen = new VisibleTransactions('100:110:102,105');
    expect([99, 100, 101, 102, 104, 105, 109, 110, 200].map((xid) => seen.sees(xid))).toEqual([
      ...[true, true, true, false, true, false, true, false, false],
    ]);
  });

  it('knows 32-bit numbers over the wrap-around (trap 15)', () => {
    const seen = new VisibleTransactions(`${2n ** 32n + 5n}:${2n ** 32n + 9n}:`);
    expect([4_294_967_290, 4, 8, 9].map((xid) => seen.sees(xid))).toEqual([true, true, true, false]);
    const before = new VisibleTransactions(`${2n ** 32n - 3n}:${2n ** 32n - 1n}:`);
    expect([4_294_967_292, 2].map((xid) => before.sees(xid))).toEqual([true, false]);
  });

  it('on a standby goes by the place that was replayed', () => {
    expect([1n, 5n, 6n].map((lsn) => new ReplayedUntil(5n).sees(1, lsn))).toEqual([true, false, false]);
  });
});

describe('the watch at a table', () => {
  it('calls stale what was changed by a transaction that the snapshot does not see, whenever that came', () => {
    const watch = watching();
    watch.wrote(change(7, 'early'));
    watch.wrote(change(5, 'seen'));
    const window = watch.begin();
    watch.wrote(change(8, 'between'));
    watch.opened(window, new VisibleTransactions('7:9:7'));
    watch.wrote(change(9, 'late', { hole: ['9'] }));
    watch.wrote(change(4, 'seen late'));
    const stale = ['early', 'seen', 'between', 'late', 'seen late', 'other'].map((key) => window.stale(key));
    expect(stale).toEqual([null, false, false, ['9'], false, false]);
  });

  it('remembers for the next snapshots what this one did not see, and nothing else', () => {
    const watch = watching();
    watch.wrote(change(7, 'k'));
    const first = watch.begin();
    watch.opened(first, new VisibleTransactions('7:9:7'));
    first.close();
    const second = watch.begin();
    watch.opened(second, new VisibleTransactions('7:9:7'));
    expect(second.stale('k')).toBeNull();
    const third = watch.begin();
    watch.opened(third, new VisibleTransactions('9:9:'));
    expect(third.quiet).toBe(true);
  });

  it('a table that was emptied by somebody whom the snapshot does not see makes the chunk void', () => {
    const watch = watching();
    const [before, after] = [watch.begin(), watch.begin()];
    watch.opened(before, new VisibleTransactions('5:5:'));
    watch.wrote(change(6, '', { op: 't' }));
    watch.opened(after, new VisibleTransactions('7:7:'));
    expect([before.void, after.void]).toEqual([true, false]);
  });

  it('has a row read again whose key was changed without all of its values', () => {
    const again: (readonly string[])[] = [];
    const watch = watching((key) => again.push(key));
    watch.wrote(change(7, 'to', { op: 'c', moved: true, hole: ['to'] }));
    watch.wrote(change(7, 'too', { op: 'c', moved: true }));
    expect(again).toEqual([['to']]);
  });

  it('knows the keys of which the stream has said everything, until it has not', () => {
    const watch = new TableWatch(() => undefined, 'public.t');
    watch.wrote(change(1, 'whole'));
    watch.wrote(change(1, 'gone', { op: 'd' }));
    watch.wrote(change(1, 'part', { hole: ['part'] }));
    watch.wrote(change(2, 'gone', { op: 'c', moved: true, hole: ['gone'] }));
    // Of several rows that had the value before it became a key another one may be left.
    for (const op of ['c', 'c', 'd'] as const) watch.wrote(change(2, 'deleted', { op }));
    const keys = ['whole', 'gone', 'part', 'deleted', 'other'];
    expect(keys.map((key) => watch.tells(key))).toEqual([true, false, false, false, false]);
    // To readers those are rows of another table.
    watch.wrote(change(2, 'elsewhere', { subject: 'public.before_it_was_renamed' }));
    expect(watch.tells('elsewhere')).toBe(false);
    watch.wrote(change(3, '', { op: 't' }));
    expect(watch.tells('whole')).toBe(false);
    expect(watching().tells('whole')).toBe(false);
  });

  it('keeps no more of one large transaction while chunks that are void stay open until its end (Invariant 6, trap 17)', () => {
    const watch = watching();
    const window = watch.begin();
    watch.opened(window, new VisibleTransactions('5:5:'));
    const kept = (): number =>
      [...new Set([...window.all(), ...watch['recent'].values()])].reduce((sum, { keys }) => sum + keys.size, 0);
    let most = 0;
    for (let i = 1; i <= 600_000; i++) {
      watch.wrote(change(9, `k${i}`));
      if (i % 50_000 === 0) most = Math.max(most, kept());
    }
    expect([window.void, most]).toEqual([true, 200_000]);
  });

  it('does not count what every snapshot sees', () => {
    const watch = watching();
    watch.opened(watch.begin(), new VisibleTransactions('10:10:'));
    for (let i = 0; i <= 200_000; i++) watch.wrote(change(9, `k${i}`));
    expect(watch.blurred).toBe(false);
  });

  it('never remembers more than it may: then chunks are void until writers have been waited out (Invariant 6)', () => {
    const watch = watching();
    const window = watch.begin();
    watch.opened(window, new VisibleTransactions('5:5:'));
    for (let i = 0; i <= 200_000; i++) watch.wrote(change(9, `k${i}`));
    expect([window.void, watch.blurred]).toEqual([true, true]);
    // One that was about to begin knows as little.
    expect(watch.begin().void).toBe(true);
    const since = watch.overflowCount;
    watch.sharpened(since);
    expect([watch.blurred, watch.begin().void]).toEqual([false, false]);
  });

  it('remembers nothing more for readers that are gone, also where the next has begun before, and nothing once it is closed', () => {
    const watch = watching(undefined, 'public.t');
    let before = watch.begin();
    for (let round = 1; round <= 3; round++) {
      for (let i = 0; i < 90_000; i++) watch.wrote(change(round, `${round} ${i}`));
      const next = watch.begin();
      watch.opened(next, new VisibleTransactions(`${round + 1}:${round + 1}:`));
      before.close();
      before = next;
    }
    expect(watch.blurred).toBe(false);
    expect(watch.tells('1 0')).toBe(true);
    watch.close();
    watch.wrote(change(9, 'after'));
    expect([watch.tells('1 0'), watch.tells('after'), watch.quiet]).toEqual([false, false, true]);
  });

  it('holds for any order of snapshots and commits: a stale row is never kept, a row that is not is never dropped', () => {
    const commits = fc.array(fc.tuple(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 0, max: 5 })), {
      maxLength: 40,
    });
    fc.assert(
      fc.property(commits, fc.array(fc.integer({ min: 1, max: 31 }), { maxLength: 6 }), (writes, snapshots) => {
        const watch = watching();
        const open: { window: ReturnType<TableWatch['begin']>; upto: number }[] = [];
        const touched: [number, number][] = [];
        const ordered = [...snapshots].sort((a, b) => a - b);
        writes.forEach(([xid, key], i) => {
          watch.wrote(change(xid, String(key)));
          touched.push([xid, key]);
          const upto = ordered[i];
          if (upto === undefined) return;
          const window = watch.begin();
          watch.opened(window, new VisibleTransactions(`${upto}:${upto}:`));
          open.push({ window, upto });
        });
        for (const { window, upto } of open)
          for (let key = 0; key <= 5; key++) {
            const stale = touched.some(([xid, of]) => of === key && xid >= upto);
            expect(window.stale(String(key)) !== false).toBe(stale);
          }
      }),
    );
  });
});

it('a gate that is shut lets nothing through; a sift lets through what the rows do not hold', () => {
  expect(SHUT.admits(1, 1n)).toBe(false);
  const sift = new Sift(new VisibleTransactions('5:5:'));
  expect([4, 5].map((xid) => sift.admits(xid, 1n))).toEqual([false, true]);
});
