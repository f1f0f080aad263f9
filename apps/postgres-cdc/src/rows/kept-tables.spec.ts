import { systemClock } from '@planasonix/core';
import type { Client } from 'pg';
import { KeptTables, lockOut, MOST_KEPT } from './kept-tables.js';
import { newTask, type RowTask } from './row-task.js';

const READERS = 2;

function task(oid: number, phase: RowTask['phase'], kept: RowTask['kept'] = null): RowTask {
  const wish = { oid, schema: 'public', name: `t${oid}`, order: null, where: null, id: 's', empties: false };
  return Object.assign(newTask({ ...wish, keyless: false }, { gate: null }), { phase, kept });
}

/** @param locked answers of the server, whether somebody has a table locked */
function keptOf(tasks: readonly RowTask[], locked: boolean[] = []) {
  const slept: number[] = [];
  const failed: RowTask[] = [];
  let asleep: (() => void) | null = null;
  const query = (sql: string) =>
    Promise.resolve(sql.includes('pg_locks') ? { rowCount: locked.shift() ? 1 : 0 } : { rows: [{ seen: '5:5:' }] });
  const kept = new KeptTables({
    config: { snapshot_readers: READERS },
    clock: {
      ...systemClock,
      sleep: (ms) => {
        slept.push(ms);
        return new Promise((resolve) => (asleep = () => resolve(true)));
      },
    },
    ...{ alone: () => false, tasks: () => tasks, ended: ({ over }) => over, ring: () => undefined },
    control: () => Promise.resolve({ query } as unknown as Client),
    failed: (one) => void failed.push(one),
  });
  const wake = async (): Promise<void> => {
    asleep?.();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { kept, slept, failed, wake };
}

const many = (count: number): RowTask[] => Array.from({ length: count }, (_, i) => task(i + 1, 'starting', 'writers'));

describe('tables that are kept from their readers', () => {
  it('let others have their turn, as many as there may be of them and no more (Invariant 6)', () => {
    const others = [task(1001, 'reading'), task(1002, 'waiting'), task(1003, 'done')];
    const turn = (count: number) => keptOf([...many(count), ...others]).kept.hasTurn;
    expect([0, 1, MOST_KEPT, MOST_KEPT + 1].map(turn)).toEqual([true, true, true, false]);
  });

  it('are looked at less often where they are many: others ask on the same session', async () => {
    const slept = async (count: number) => {
      const tasks = many(count);
      const one = keptOf(tasks);
      void one.kept.rest(tasks[0]!);
      return one.slept;
    };
    expect([await slept(1), await slept(16), await slept(17), await slept(MOST_KEPT)]).toEqual([[900], [900], [1800], [3600]]); // prettier-ignore
  });

  it('come in beside those that have their turn, and not all at once', async () => {
    const [mine, ...begun] = [task(1, 'starting', 'writers'), ...[2, 3, 4, 5].map((oid) => task(oid, 'reading'))];
    const { kept, wake } = keptOf([mine, ...begun]);
    void kept.letIn(mine);
    await wake();
    expect(mine.kept).toBe('writers');
    begun[0]!.end('done');
    await wake();
    expect(mine.kept).toBeNull();
  });

  it('are read once nobody has them locked any more; the stream does not stand for them', async () => {
    const mine = task(1, 'reading');
    mine.wantsStill = true;
    lockOut(mine);
    mine.state.lanes = [{ after: null, upto: null, chunk: 0 }];
    expect([mine.wantsStill, mine.share(), mine.unready]).toEqual([false, null, false]);
    const { kept, wake, slept } = keptOf([mine], [true, false]);
    kept.look();
    kept.look();
    await wake();
    expect([mine.kept, slept]).toEqual(['locked', [900, 900]]);
    await wake();
    expect([mine.kept, mine.note, mine.share()]).toEqual([null, null, { kind: 'lane', lane: 0 }]);
  });

  it('remember nothing of what is visible by now, and are given up when nobody wants them any more (Invariant 6)', async () => {
    const mine = task(1, 'reading', 'locked');
    mine.watchNow();
    const change = { subject: 'public.t1', op: 'u', commitLsn: 1n, moved: false, hole: null, by: [] } as const;
    for (const xid of [4, 5]) mine.watch.wrote({ ...change, xid, key: `${xid}` });
    const { kept, wake, slept, failed } = keptOf([mine], [true]);
    kept.look();
    await wake();
    expect([...mine.watch['recent'].keys()]).toEqual([5]);
    mine.end('cancelled');
    await wake();
    expect([slept.length, failed, mine.kept]).toEqual([2, [], null]);
  });
});
