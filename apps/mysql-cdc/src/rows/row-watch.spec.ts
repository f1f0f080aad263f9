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

  it('is remembered for no chunk that is over before its reader comes to it (Invariant 6)', () => {
    const watch = new RowWatch(false);
    const task = newTask({ ...T, order: null, where: null, id: 'i', empties: false }, false);
    task.state.lanes = [{ after: null, upto: null, chunk: 0 }];
    const clock = { monotonic: () => 0, sleep: () => Promise.resolve(true) };
    const run = new ChunkRun(task, { kind: 'lane', lane: 0 }, new Pace(Infinity, clock));
    run.cancel();
    run.close();
    run.watch(() => watch.begin(T));
    expect(watch['windows'].size).toBe(0);
  });
});
