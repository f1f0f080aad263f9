import { ROW_EVENT_TYPES, type ChangeEvent } from '@planasonix/core';
import { Pace } from '@planasonix/rows';
import { ChunkRun } from './chunk-run.js';
import { newTask } from './row-task.js';
import { RowWatch } from './row-watch.js';

const T = { schema: 's', table: 't' };
const NO_DATA = Buffer.alloc(0);

const change = (key: string, type: ChangeEvent['type'] = ROW_EVENT_TYPES.u): ChangeEvent => ({
  ...{ id: key, type, subject: 's.t', partitionkey: key, time: '', timeMs: 0, data: NO_DATA },
  order: '0001-00000001-000000000010-00000000',
});
/** One large transaction, in pieces. */
const told = (watch: RowWatch, count: number): void => {
  watch.handed(Array.from({ length: count }, (_, i) => change(`k${i}`)));
};

describe('what is told while a chunk is read', () => {
  it.each([
    ['more than can be remembered was told', (watch: RowWatch) => told(watch, 210_000)],
    [
      'the table was emptied',
      (watch: RowWatch) => {
        told(watch, 1000);
        watch.handed([change('', ROW_EVENT_TYPES.t)]);
        told(watch, 1000);
      },
    ],
  ])('is not kept once %s, however long the chunk is open after that (Invariant 6, trap 17)', (_, tell) => {
    const watch = new RowWatch(false);
    const window = watch.begin(T);
    tell(watch);
    expect([window.void, window.quiet]).toEqual([true, true]);
  });

  it.each([
    [{ file: 'b.000001', pos: 0x20 }, true, false],
    [{ file: 'b.000001', pos: 0x10 }, false, true],
    [{ file: 'b.000000', pos: 0x40 }, false, true],
  ])('rows that were read as a whole at %j hold a change that ends at 32, or do not', (place, holds, told) => {
    const watch = new RowWatch(false);
    watch.sift({ ...T, ...place });
    const end = { file: 'b.000001', pos: 0x20 };
    expect([watch.holds(T, end), watch.holds({ ...T, table: 'u' }, end)]).toEqual([holds, false]);
    // What begins it is left out if they do, and only then.
    expect(watch.handed([change('', ROW_EVENT_TYPES.t)])).toHaveLength(told ? 1 : 0);
  });

  it('is remembered for no chunk that is over before its reader comes to it (Invariant 6)', () => {
    const watch = new RowWatch(false);
    const task = newTask({ ...T, order: null, where: null, id: 'i', empties: false }, false);
    task.state.lanes = [{ after: null, upto: null, chunk: 0 }];
    const clock = { monotonic: () => 0, sleep: () => Promise.resolve(true) };
    const run = new ChunkRun(task, { kind: 'lane', lane: 0 }, new Pace(Infinity, 1, clock));
    run.cancel();
    run.close();
    run.watch(() => watch.begin(T));
    expect(watch['windows'].size).toBe(0);
  });
});
