import { Bell, systemClock, Waker, type Clock } from '@planasonix/core';
import type { Client } from 'pg';
import { parseConfig } from '../config.js';
import { TypeCatalog } from '../decode/index.js';
import { RowReaders } from './row-readers.js';
import { newTask, type RowTask, type Share } from './row-task.js';

/** Of readers and tables only; no server is asked. */
function readersOf(more: object = {}) {
  const readers = new RowReaders(
    {
      ...{ catalog: new TypeCatalog(), database: 'd', excludedOf: () => new Set<string>(), waker: new Waker() },
      ...{ config: parseConfig({ tables: ['public.*'], ...more }), obeys: null },
      clock: { ...systemClock, monotonic: () => Date.now() },
      open: () => Promise.reject(new Error('no server')),
      end: () => Promise.resolve(),
      rekeyed: () => undefined,
    },
    {
      ...{ exported: () => null, next: () => null, idle: () => false, wait: () => new Promise<void>(() => undefined) },
      ...{ failed: () => null, gone: () => undefined, renamed: () => undefined, broke: () => undefined },
    },
  );
  const run = (keyless: boolean) => {
    const wish = { oid: 1, schema: 'public', name: 't', order: null, where: null, id: 'i', empties: false, keyless };
    const task = newTask(wish, { gate: null });
    task.state.lanes = [{ after: null, upto: null, chunk: 0 }];
    return readers.begin(task, keyless ? { kind: 'whole' } : { kind: 'lane', lane: 0 });
  };
  return { readers, run };
}

describe('rows that nobody takes (Invariant 6)', () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  it.each([
    ['a chunk', false, 20_000],
    ['a table that is read as a whole', true, 600_000],
  ])('%s is given back in the end, not before', (_, keyless, ms) => {
    const { run } = readersOf();
    const one = run(keyless);
    for (let piece = 1; piece <= 8; piece++) expect(one.rows([], [])).toBe(piece < 8);
    jest.advanceTimersByTime(ms - 1);
    expect(one.void).toBe(false);
    jest.advanceTimersByTime(1);
    expect(one.void).toBe(true);
    expect(one.task.progress.note).toEqual(keyless ? expect.stringContaining('from its beginning again') : null);
  });

  it('a whole table is not given back with a chunk beside it, nor later for that', () => {
    const { readers, run } = readersOf();
    const [chunk, whole] = [run(false), run(true)];
    for (let piece = 1; piece <= 8; piece++) whole.rows([], []);
    chunk.rows([], []);
    jest.advanceTimersByTime(20_000);
    expect([chunk.void, whole.void]).toEqual([true, false]);
    expect(whole.rows([], [])).toBe(false);
    jest.advanceTimersByTime(579_999);
    expect(whole.void).toBe(false);
    readers.taken();
    jest.advanceTimersByTime(599_999);
    expect(whole.void).toBe(false);
    jest.advanceTimersByTime(1);
    expect(whole.void).toBe(true);
  });
});

it('keys that are read by themselves are no more at once than the rate lets one reader have', () => {
  const { readers } = readersOf({ snapshot_max_rows_per_second: 40 });
  const wish = { oid: 1, schema: 'public', name: 't', order: null, where: null, id: 'i', empties: false };
  const keys = Array.from({ length: 200 }, (_, i) => [String(i)]);
  const { share, allowance } = readers.begin(newTask({ ...wish, keyless: false }, { gate: null }), {
    kind: 'again',
    keys,
  });
  expect([share, allowance.rows]).toEqual([{ kind: 'again', keys: keys.slice(0, 10) }, 10]);
});

describe('sessions of readers', () => {
  const idle = () => new Promise<void>((resolve) => setImmediate(resolve));

  /** Of tables that are gone when their turn comes. @param ending while a session is being ended */
  function reading(ending: (add: (share: Share) => void) => void, clock: Clock = systemClock) {
    const bell = new Bell();
    const waiting: { task: RowTask; share: Share }[] = [];
    const wish = { oid: 1, schema: 'public', name: 't', order: null, where: null, id: 'i', empties: false };
    const add = (share: Share): void => {
      const task = newTask({ ...wish, keyless: false }, { gate: null });
      task.state.lanes = [{ after: null, upto: null, chunk: 0 }];
      waiting.push({ task, share });
      bell.ring();
    };
    const gone: RowTask[] = [];
    const session = { query: () => Promise.resolve({ rows: [], rowCount: 0 }) } as unknown as Client;
    const readers = new RowReaders(
      {
        ...{ catalog: new TypeCatalog(), database: 'd', excludedOf: () => new Set<string>(), waker: new Waker() },
        ...{ config: parseConfig({ tables: ['public.*'] }), obeys: null, clock },
        ...{ open: () => Promise.resolve(session), control: () => Promise.resolve(session) },
        end: async () => {
          await idle();
          ending(add);
        },
        rekeyed: () => undefined,
      },
      {
        ...{ exported: () => null, next: () => waiting.shift() ?? null, idle: () => waiting.length === 0 },
        ...{
          wait: () => bell.wait(),
          renamed: () => undefined,
          failed: () => null,
          gone: (task) => void gone.push(task),
        },
        broke: (error) => {
          throw error;
        },
      },
    );
    return { readers, add, gone };
  }

  it('what comes while one is being ended is read at once', async () => {
    let ended = 0;
    const { readers, add, gone } = reading((later) => {
      if (++ended === 1) later({ kind: 'lane', lane: 0 });
    });
    readers.start(1);
    add({ kind: 'lane', lane: 0 });
    for (let i = 0; i < 20; i++) await idle();
    expect([gone.length, ended]).toEqual([2, 2]);
    await readers.close();
  });

  it('nobody sleeps behind them once all is closed', async () => {
    let asleep = 0;
    const sleep: Clock['sleep'] = (_, signal) =>
      new Promise((resolve) => {
        asleep++;
        signal?.addEventListener('abort', () => {
          asleep--;
          resolve(false);
        });
      });
    const { readers, add } = reading(() => undefined, { ...systemClock, sleep });
    readers.start(1);
    add({ kind: 'again', keys: [['1']] });
    for (let i = 0; i < 20; i++) await idle();
    expect(asleep).toBe(1);
    await readers.close();
    expect(asleep).toBe(0);
  });
});
