import type { SnapshotProgress } from '@planasonix/core';
import { DurableProgress } from './durable-progress.js';

const rows = (done: number, state: SnapshotProgress['state'] = 'running'): SnapshotProgress => ({
  ...{ state, tables_total: 1, tables_done: state === 'done' ? 1 : 0, rows_done: done, rows_estimated: 50 },
});

it('is told once everything that was handed over by then is in the log', () => {
  const progress = new DurableProgress();
  expect(progress.see(null, { handed: 0, landed: 0 })).toBeNull();
  expect(progress.see(rows(0), { handed: 0, landed: 0 })).toEqual(rows(0));
  expect(progress.see(rows(20), { handed: 20, landed: 0 })).toEqual(rows(0));
  // The log is full: what the source says meanwhile waits, and so does its end.
  expect(progress.see(rows(50, 'done'), { handed: 50, landed: 10 })).toEqual(rows(0));
  expect(progress.see(rows(50, 'done'), { handed: 60, landed: 20 })).toEqual(rows(20));
  expect(progress.see(rows(50, 'done'), { handed: 70, landed: 49 })).toEqual(rows(20));
  // Changes that were handed over since are not waited for.
  expect(progress.see(rows(50, 'done'), { handed: 99, landed: 50 })).toEqual(rows(50, 'done'));
  expect(progress.see('over', { handed: 99, landed: 50 })).toEqual(rows(50, 'done'));
  expect(progress.see('over', { handed: 99, landed: 99 })).toBe('over');
});

it('of what was said while nothing was handed over, the last word counts (Invariant 6)', () => {
  const progress = new DurableProgress();
  progress.see(rows(1), { handed: 0, landed: 0 });
  for (let n = 2; n < 9; n++) progress.see(rows(n), { handed: 5, landed: 4 });
  expect(progress.see(rows(9), { handed: 5, landed: 4 })).toEqual(rows(1));
  expect(progress.see(rows(9), { handed: 5, landed: 5 })).toEqual(rows(9));
});
