import { Waker, type Clock, type Log } from '@planasonix/core';
import { Pace } from '@planasonix/rows';
import type { ChunkReader } from './chunk-reader.js';
import { ChunkRun } from './chunk-run.js';
import { RowReaders, type RowReadersDeps, type RowReadersWork } from './row-readers.js';
import { newTask, restoredTask } from './row-task.js';

const WISH = { schema: 's', table: 't', order: null, where: null, id: 'i', empties: false };
const LANE = { after: ['7'], upto: null, chunk: 3 };
const clock: Clock = { now: () => 0, monotonic: () => 0, sleep: () => Promise.resolve(false) };

describe('a table all rows of which are replaced while they are read', () => {
  it.each([
    ['before', true, 1],
    ['of before, and is there again,', false, 0],
  ])('that is gone, as seen %s, ends its reading or does not', async (_, isSo, times) => {
    const gone = jest.fn();
    const log: Log = { debug: gone, info: gone, warn: gone, error: gone };
    const deps = { alone: null, clock, log, waker: new Waker() } as unknown as RowReadersDeps;
    const readers = new RowReaders(deps, { gone } as unknown as RowReadersWork);
    const task = newTask(WISH, false);
    task.state.lanes = [{ ...LANE }];
    const run = new ChunkRun(task, { kind: 'lane', lane: 0 }, new Pace(Infinity, 1, clock));
    const read = (): Promise<'gone'> => {
      if (!isSo) task.renew();
      return Promise.resolve('gone');
    };
    await readers['readChunk']({ read } as unknown as ChunkReader, run);
    expect(gone).toHaveBeenCalledTimes(times);
  });

  it('is told by other ids from then on, also by whoever goes on before it is its turn', () => {
    const task = restoredTask({ ...newTask(WISH, false).state, key: ['bigint'], lanes: [{ ...LANE }] }, null, false);
    const before = task.idPrefix({ kind: 'lane', lane: 0 });
    task.renew();
    expect([task.phase, task.begun]).toEqual(['waiting', true]);
    const next = restoredTask(task.state, null, false);
    next.state.lanes = [{ ...LANE }];
    expect(next.idPrefix({ kind: 'lane', lane: 0 })).not.toBe(before);
  });
});
