import type { WrittenChange } from '../decode/index.js';
import { emptiedEvent } from './emptied-event.js';
import { MOST_AGAIN, newTask, restoredTask, type RowTask } from './row-task.js';
import { rowsState } from './rows-state.js';
import { VisibleTransactions } from './visibility.js';

/** Its lanes have come to 10 and 110. */
function reading(): RowTask {
  const wish = { oid: 1, schema: 'public', name: 't', order: 'snap_1', where: null, id: 's', empties: false };
  const task = newTask({ ...wish, keyless: false }, { gate: null });
  task.state.key = ['id'];
  task.state.lanes = [
    { after: ['10'], upto: ['100'], chunk: 1 },
    { after: ['110'], upto: null, chunk: 1 },
  ];
  task.phase = 'reading';
  task.watchNow();
  return task;
}

/** The stream tells of keys that were changed behind the readers, without all of their values. */
function move(task: RowTask, from: number, count = MOST_AGAIN + 1): void {
  for (let i = from; i < from + count; i++)
    moveOne(task, `${i}`, { hole: [`${i}`], by: [{ name: 'id', typeOid: 23 }] });
}

function moveOne(task: RowTask, key: string, of: Pick<WrittenChange, 'hole' | 'by'>): void {
  task.slot.gate!.wrote({ subject: 'public.t', op: 'c', xid: 7, commitLsn: 7n, key, moved: true, ...of });
}

/** Everything that was delivered is visible. */
const waitedOut = (task: RowTask): void => task.watch.sharpened(task.watch.overflowCount);

/** Every share that is free, as many readers as want one. */
function shares(task: RowTask): string[] {
  const taken = [];
  for (let share = task.share(); share !== null; share = task.share()) {
    task.take(share);
    taken.push(share);
  }
  for (const share of taken) task.give(share);
  return taken.map((share) => (share.kind === 'lane' ? `lane ${share.lane}` : share.kind));
}

describe('more keys than can be read by themselves', () => {
  it('are gone through in a sweep beside the lanes, which go on where they are (Invariant 6)', () => {
    const task = reading();
    const window = task.watch.begin();
    move(task, 0);
    expect(task.unready).toBe(true);
    expect(window.void).toBe(true);
    expect(task.share()).toBeNull();
    waitedOut(task);
    expect(task.state.lanes).toEqual([
      { after: ['10'], upto: ['100'], chunk: 1 },
      { after: ['110'], upto: null, chunk: 1 },
      { after: null, upto: null, chunk: 0, sweep: true },
    ]);
    expect([task.state.attempt, task.state.again]).toEqual([1, []]);
    expect(shares(task)).toEqual(['lane 0', 'lane 1', 'lane 2']);
    expect(task.progress.note).toContain('once more');
  });

  it('that come up during a sweep are for the next one: two at the most, one at a time, and none twice', () => {
    const task = reading();
    const { lanes } = task.state;
    for (let round = 0; round < 5; round++) move(task, round * 10_000);
    expect(lanes).toHaveLength(3);
    lanes[2]!.after = ['50'];
    for (let round = 5; round < 10; round++) move(task, round * 10_000);
    waitedOut(task);
    expect(lanes).toHaveLength(4);
    expect(shares(task)).toEqual(['lane 0', 'lane 1', 'lane 2']);
    for (const lane of lanes.slice(0, 3)) lane.done = true;
    expect(shares(task)).toEqual(['lane 3']);
    lanes[3]!.after = ['60'];
    move(task, 200_000);
    waitedOut(task);
    expect(lanes.slice(2)).toEqual([
      { after: null, upto: null, chunk: 0, sweep: true, done: false },
      { after: ['60'], upto: null, chunk: 0, sweep: true },
    ]);
    expect(shares(task)).toEqual(['lane 3']);
    expect(task.complete).toBe(false);
    lanes[3]!.done = true;
    lanes[2]!.done = true;
    expect([task.complete, task.progress.note]).toEqual([true, null]);
  });

  it('need no sweep before anything was read', () => {
    const task = reading();
    task.state.lanes = [];
    move(task, 0);
    expect([task.state.lanes, task.state.again, task.watch.blurred]).toEqual([[], [], true]);
  });

  it('become fewer before lanes may bring more of them', () => {
    const task = reading();
    move(task, 0, MOST_AGAIN / 2 + 1);
    task.watch.opened(task.watch.begin(), new VisibleTransactions('9:9:'));
    expect(shares(task)).toEqual(['again']);
    task.gone(task.state.again.slice(0, 200));
    expect(shares(task)).toEqual(['again', 'lane 0', 'lane 1']);
  });
});

describe('a table without a key', () => {
  it('that gets one: readers forget the rows that came without it', () => {
    const task = reading();
    task.state.key = [];
    task.state.rows = 3;
    task.keyBecomes({ key: ['id'], keyTypes: [20], keySorts: ['1::int8_ops'] });
    expect(task.state).toMatchObject({ key: ['id'], empties: true, emptied: false });
    task.forgotten();
    expect(task.state).toMatchObject({ emptied: true, rows: 0 });
    expect(task.phase).toBe('waiting');
    // The stream may have told of rows since, which come once more now.
    task.keyBecomes({ key: [], keyTypes: [], keySorts: [] });
    expect(task.state.emptied).toBe(false);
  });

  it('that an earlier reader left with a key, and with rows that readers were to forget, is read from its beginning', () => {
    const { state } = reading();
    const left = {
      ...state,
      rows: 41,
      empties: true,
      emptied: false,
      lanes: [{ after: ['41'], upto: null, chunk: 3 }],
    };
    const task = restoredTask(left, null, () => ({ gate: null }));
    expect([task.state.lanes, task.state.again]).toEqual([[], []]);
  });

  it('that an earlier reader left before it was opened: readers forget what the stream has told of it first', () => {
    const { state } = newTask({ ...reading().wish, empties: false, keyless: true }, { gate: null });
    const task = restoredTask(state, null, () => ({ gate: null }));
    task.keyBecomes({ key: [], keyTypes: [], keySorts: [] });
    expect([task.keyless, task.state.empties, task.state.emptied]).toEqual([true, true, false]);
  });

  it('that was opened before the stream was read, is opened anew beside it: it asks for stillness, and readers forget it', () => {
    const task = reading();
    task.keyless = true;
    task.state.emptied = true;
    const id = () => emptiedEvent(task, { database: 'd', lsn: '0/1', atMs: 0 }).id;
    const before = id();
    task.beside();
    expect([task.phase, task.state.empties, task.state.emptied]).toEqual(['starting', true, false]);
    // They are told so once more (Invariant 4).
    expect(id()).not.toBe(before);
  });
});

describe('keys that were changed by another key than that of the readers', () => {
  const [BEFORE, AFTER] = [new VisibleTransactions('5:5:'), new VisibleTransactions('9:9:')];

  it('are not asked for where it is an older one: all rows are read under snapshots that saw the change', () => {
    const task = reading();
    task.readAgain(['7']);
    task.keyBecomes({ key: ['a', 'b'], keyTypes: [23, 23], keySorts: [] });
    expect([task.state.again, task.state.lanes]).toEqual([[], []]);
    const lanes = [{ after: null, upto: null, chunk: 0 }];
    task.state.lanes = [...lanes];
    move(task, 7, 1);
    task.readUnder(AFTER);
    move(task, 8, 1);
    expect([task.state.again, task.state.lanes, task.watch.blurred]).toEqual([[], lanes, false]);
  });

  it('keep the table from being over where it may be a newer one: all rows come again, by whatever the next chunk finds', () => {
    const task = reading();
    task.readUnder(BEFORE);
    for (const lane of task.state.lanes) lane.done = true;
    moveOne(task, 'b7', { hole: ['b7'], by: [{ name: 'b', typeOid: 23 }] });
    expect([task.state.again, task.complete]).toEqual([[], false]);
    waitedOut(task);
    expect(shares(task)).toEqual(['lane 2']);
  });

  it('are not asked for where its columns only have the same names', () => {
    const task = reading();
    task.state.types = [2950];
    task.readUnder(AFTER);
    move(task, 7, 1);
    expect(task.state.again).toEqual([]);
  });

  it('are asked for in the order of the key that the table has', () => {
    const task = reading();
    task.state.key = ['a', 'b'];
    moveOne(task, 'k', { hole: ['of b', 'of a'], by: ['b', 'a'].map((name) => ({ name, typeOid: 23 })) });
    expect(task.state.again).toEqual([['of a', 'of b']]);
  });

  it('and lie in a position are not asked for: its rows are gone through once more', () => {
    const task = reading();
    const { state } = task;
    const [right, strange] = [[['7']], [['7'], ['-5', 'x']]].map((again) =>
      restoredTask({ ...state, again, lanes: [...state.lanes] }, null, () => ({ gate: null })),
    );
    expect([right!.state.again, right!.state.lanes.length]).toEqual([[['7']], 2]);
    expect([strange!.state.again, strange!.state.lanes.slice(2)]).toEqual([
      [],
      [{ after: null, upto: null, chunk: 0, sweep: true }],
    ]);
  });
});

describe('the key that a table was read by', () => {
  const KEY = { key: ['id'], keyTypes: [25], keySorts: ['1:pg_catalog."default":pg_catalog.text_ops'] };
  const OTHERS = [
    { ...KEY, key: ['code'] },
    { ...KEY, keyTypes: [1043] },
    { ...KEY, keySorts: ['2:pg_catalog."default":pg_catalog.text_ops'] },
    { ...KEY, keySorts: ['1:pg_catalog."C":pg_catalog.text_ops'] },
    { ...KEY, keySorts: ['1:pg_catalog."default":pg_catalog.text_pattern_ops'] },
  ];

  it('is another one by other columns, types or sorts, also after a restart', () => {
    const task = reading();
    task.keyBecomes(KEY);
    const state = rowsState.parse(JSON.parse(JSON.stringify({ tables: [task.state], sifts: [] })));
    const restored = restoredTask(state.tables[0]!, null, () => ({ gate: null }));
    for (const one of [task, restored])
      expect([KEY, ...OTHERS].map((key) => one.keyIs(key))).toEqual([true, ...OTHERS.map(() => false)]);
  });

  it('is told by names alone where the position is of an earlier version', () => {
    const task = reading();
    expect([KEY, ...OTHERS].map((key) => task.keyIs(key))).toEqual([true, false, true, true, true, true]);
  });
});

describe('a table that an earlier reader began', () => {
  it('of which all was read is done, also where who did that was interrupted before he said so (Invariant 7)', () => {
    const { state } = reading();
    const lanes = state.lanes.map((lane) => ({ ...lane, done: true }));
    const phaseOf = (of: Partial<typeof state>) => {
      const restored = restoredTask({ ...state, lanes, ...of }, null, () => ({ gate: null }));
      return [restored.state.done, restored.state.attempt];
    };
    expect(phaseOf({})).toEqual([true, 1]);
    expect(phaseOf({ again: [['7']] })).toEqual([false, 2]);
    expect(phaseOf({ lanes: [lanes[0]!, state.lanes[1]!] })).toEqual([false, 2]);
    expect(phaseOf({ empties: true })).toEqual([false, 2]);
    expect(phaseOf({ lanes: [] })).toEqual([false, 2]);
  });
});
