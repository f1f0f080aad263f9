import { systemClock } from '@planasonix/core';
import { Pace } from '@planasonix/rows';
import type { SourceTable } from '../tables.js';
import type { ChunkSnapshot } from './chunk-reader.js';
import { ChunkRun } from './chunk-run.js';
import { newTask, type RowTask, type Share } from './row-task.js';
import { VisibleTransactions } from './visibility.js';

const PACE = new Pace(Infinity, 1, systemClock);
const snapshot: ChunkSnapshot = {
  visibility: new VisibleTransactions('5:5:'),
  text: '5:5:',
  lsn: 1n,
  exported: false,
  takenAtMs: 0,
};
const keyed = (...key: string[]): SourceTable => ({
  ...{
    oid: 1,
    schema: 'public',
    table: 't',
    key,
    keyCollations: [],
    keyOperators: [],
    keyCasts: [],
    keyTypes: key.map(() => 23),
    keySorts: key.map((_, i) => `${i + 1}::pg_catalog.int4_ops`),
    identity: 'd',
    hasPrimaryKey: true,
  },
  columns: key.map((name, i) => ({ attnum: i + 1, name, typeOid: 23, generated: null })),
  all: [],
  ...{ unlisted: new Set<string>(), filter: null, published: true },
  ...{ excluded: new Set<string>(), unidentified: [], estimatedRows: 1, bytes: 1, partitioned: false, partitions: [] },
});

/** A table with two lanes, whose key is `id`. */
function reading(): RowTask {
  const wish = { oid: 1, schema: 'public', name: 't', order: null, where: null, id: 's', empties: false };
  const task = newTask({ ...wish, keyless: false }, { gate: null });
  task.state.key = ['id'];
  task.state.lanes = [0, 1].map(() => ({ after: null, upto: null, chunk: 0 }));
  return task;
}

const begun = (task: RowTask, share: Share): ChunkRun =>
  new ChunkRun(
    task,
    share,
    PACE,
    () => true,
    () => undefined,
    () => undefined,
  );

/** More changes than are remembered come, each soon seen by a snapshot: none of a window that nobody ends. */
function expectNothingRemembered(task: RowTask): void {
  for (let xid = 5; xid <= 7; xid++) {
    const written = {
      subject: 'public.t',
      op: 'u',
      xid,
      commitLsn: BigInt(xid),
      moved: false,
      hole: null,
      by: [{ name: 'id', typeOid: 23 }],
    } as const;
    for (let i = 0; i < 70_000; i++) task.watch.wrote({ ...written, key: `${xid} ${i}` });
    const next = task.watch.begin();
    task.watch.opened(next, new VisibleTransactions(`${xid + 1}:${xid + 1}:`));
    next.close();
  }
  expect(task.watch.blurred).toBe(false);
}

it('a chunk that is over before its reader comes to it has nothing remembered for it (Invariant 6)', () => {
  const task = reading();
  task.watchNow();
  const [late, other] = [0, 1].map((lane) => begun(task, { kind: 'lane', lane }));
  task.restart(keyed('id'));
  late!.close();
  late!.begin();
  other!.begin();
  expect(late!.opened(snapshot, keyed('id'))).toBeNull();
  expectNothingRemembered(task);
});

it('a chunk that was begun twice, for it had locked another table first, has nothing remembered once it is over (Invariant 6)', () => {
  const task = reading();
  task.watchNow();
  const run = begun(task, { kind: 'lane', lane: 0 });
  run.begin();
  run.begin();
  run.close();
  expectNothingRemembered(task);
});

it('two chunks meet the change of a key: the table begins over once, by the key that the newer one saw', () => {
  const wish = { oid: 1, schema: 'public', name: 't', order: null, where: null, id: 's', empties: false };
  const task = newTask({ ...wish, keyless: false }, { gate: null });
  task.state.key = ['a'];
  task.state.lanes = [0, 1].map(() => ({ after: null, upto: null, chunk: 0 }));
  task.phase = 'reading';
  const [newer, older] = [0, 1].map((lane) => begun(task, { kind: 'lane', lane }));
  for (const run of [newer!, older!]) run.begin();
  expect(newer!.opened(snapshot, keyed('c'))).toBeNull();
  expect(older!.opened(snapshot, keyed('b'))).toBeNull();
  expect([task.state.key, task.state.attempt]).toEqual([['c'], 2]);
});

it('another key under a snapshot that was exported before is that of then: the table waits for a snapshot of later', () => {
  const wish = { oid: 1, schema: 'public', name: 't', order: null, where: null, id: 's', empties: false };
  const task = newTask({ ...wish, keyless: false }, { gate: null });
  task.keyBecomes(keyed('now'));
  task.state.lanes = [{ after: null, upto: null, chunk: 0 }];
  task.phase = 'reading';
  const run = begun(task, { kind: 'lane', lane: 0 });
  run.begin();
  expect(run.opened({ ...snapshot, exported: true }, keyed('then'))).toBeNull();
  expect([run.void, task.later, task.phase, task.state.key]).toEqual([true, true, 'reading', ['now']]);
});

it('a chunk that meets a lock after its table has begun over says nothing of it: the next one does, if it is still there', () => {
  const task = reading();
  task.phase = 'reading';
  const late = begun(task, { kind: 'lane', lane: 0 });
  late.begin();
  task.restart(keyed('id'));
  late.busy('locked');
  expect([task.kept, task.note]).toEqual([null, null]);
});
