import { eventually } from '@planasonix/testing';
import { decodePosition } from '../position.js';
import type { TrialStream } from '../trial/trial-stream.js';
import { expectEqual, settle, sourceUnderTest } from './source-under-test.js';

jest.setTimeout(120_000);

const { fresh, reading } = sourceUnderTest();

const ROWS = 6000;

/** The log as it is now, for a fail-over to it later on. */
const copyOf = (one: TrialStream) => ({ positions: new Map(one.positions), events: one.events.length });

/** Its log lacks what came after `copy`, and nothing was committed since: the place is the same. */
function failOver(one: TrialStream, copy: ReturnType<typeof copyOf>): void {
  const { lsn } = one;
  one.positions.clear();
  for (const [partition, position] of copy.positions)
    one.positions.set(
      partition,
      partition === '' ? JSON.stringify({ ...(JSON.parse(position) as object), lsn }) : position,
    );
  one.events.length = copy.events;
}

const rowsOf = (one: TrialStream, from: number): Set<string> =>
  new Set(one.events.slice(from).flatMap(({ order, partitionkey }) => (order === null ? [partitionkey] : [])));

/** Which of an order's tables a position calls done. */
const doneOf = (position: string | null | undefined, order: string): string[] =>
  (decodePosition(position ?? '{}').rows?.tables ?? []).flatMap((one) =>
    one.order === order && one.done ? [one.table] : [],
  );

/** Two tables whose rows have been read, and a reader that takes one after the other. */
const TWO = `CREATE TABLE marks (m text PRIMARY KEY); CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY);
  INSERT INTO a SELECT generate_series(1, 50); INSERT INTO b SELECT generate_series(1, 50)`;

/** All rows are in the log, and nobody reads. */
async function readOnce(
  db: Awaited<ReturnType<typeof fresh>>,
  config: object = { tables: ['public.*'], snapshot_readers: 1 },
): Promise<TrialStream> {
  const one = reading(db, { ...config });
  one.start();
  await one.rowsDone();
  await settle(one, db.client);
  await one.stop();
  return one;
}

describe('a log that fails over to a copy that lags (traps 2, 26)', () => {
  it.each([
    ['before its first row', 0],
    ['in the middle of its rows', ROWS / 4],
  ])('%s: an order that was done is read again, once (Invariant 2)', async (_, rows) => {
    const db = await fresh(`CREATE TABLE marks (m text PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY, v text);
      INSERT INTO t SELECT i, 'a' FROM generate_series(1, ${ROWS}) i`);
    const one = await readOnce(db);
    const before = one.events.length;
    let copy: ReturnType<typeof copyOf> | null = null;
    one.orders.push({ id: 'snap_lost', tables: ['public.t'], where: null });
    one.start({ beforeEach: () => void (one.events.length >= before + rows && (copy ??= copyOf(one))) });
    await eventually('the order is done', () => one.closed.length > 0);
    await one.stop();
    expect(rowsOf(one, before).size).toBe(ROWS);
    expect(copy!.events).toBeLessThan(before + ROWS);
    failOver(one, copy!);
    one.start();
    await eventually('its rows are there', () => rowsOf(one, before).size === ROWS);
    await settle(one, db.client);
    await expectEqual(one, db.client, 'public.t', "'id', id");
    expect(one.warnings.map(({ fields }) => fields)).toContainEqual({ streamId: one.id, order: 'snap_lost' });
    await eventually('the log knows', () => one.positions.get('#tables')?.includes('snap_lost'));
    await one.stop();
    const again = one.events.length;
    one.start();
    await settle(one, db.client);
    expect([rowsOf(one, again).size, one.positions.get('')]).toEqual([0, expect.not.stringContaining('snap_lost')]);
    expect(one.closed).toEqual([{ id: 'snap_lost', failed: null }]);
  });

  it('one of whose tables the log has one, while the next waits for its turn, is not over: the rest is read again (Invariant 2)', async () => {
    const db = await fresh(TWO);
    const one = await readOnce(db);
    const before = one.events.length;
    let copy: ReturnType<typeof copyOf> | null = null;
    one.orders.push({ id: 'snap_half', tables: ['public.a', 'public.b'], where: null });
    one.start({
      beforeEach: () => void (doneOf(one.positions.get(''), 'snap_half').length === 1 && (copy ??= copyOf(one))),
    });
    await eventually('the order is done', () => one.closed.length > 0);
    await one.stop();
    failOver(one, copy!);
    expect(rowsOf(one, before).size).toBe(50);
    one.start();
    const subjects = () => new Set(one.events.slice(before).flatMap(({ order, subject }) => (order === null ? [subject] : []))); // prettier-ignore
    await eventually('the rest is there', () => subjects().size === 2 && one.events.length === before + 100);
    expect(one.warnings.map(({ fields }) => fields)).toContainEqual({ streamId: one.id, order: 'snap_half' });
    await eventually('the log knows', () => one.positions.get('#tables')?.includes('snap_half'));
  });

  it('an order is not said to be done while rows of its last table are on their way (trap 38, Invariant 7)', async () => {
    const db = await fresh(TWO);
    const one = await readOnce(db);
    one.orders.push({ id: 'snap_way', tables: ['public.a', 'public.b'], where: null });
    const end = new AbortController();
    await one.look(async (source) => {
      let half: string | null = null;
      for await (const { partition, position } of source.read(new Map(one.positions), end.signal)) {
        if (partition !== '' || position === null) continue;
        const done = doneOf(position, 'snap_way').length;
        if (done === 1) half ??= position;
        if (done < 2) continue;
        // What says this is handed over, and not durable yet.
        await source.ack('', half!);
        expect(one.closed).toEqual([]);
        await source.ack('', position);
        expect(one.closed).toEqual([{ id: 'snap_way', failed: null }]);
        end.abort();
      }
    });
    expect(end.signal.aborted).toBe(true);
  });

  it('one that its position tells the end of is not lost, though the notebook does not know it yet (trap 38)', async () => {
    const db = await fresh(`CREATE TABLE marks (m text PRIMARY KEY); INSERT INTO marks VALUES ('first')`);
    const one = reading(db, { tables: ['public.*'] });
    one.start();
    await one.rowsDone();
    await settle(one, db.client);
    one.orders.push({ id: 'snap_told', tables: ['public.marks'], where: null });
    one.ordersChanged();
    await eventually('the order is done', () => one.closed.length > 0);
    await eventually('the log knows', () => one.positions.get('#tables')?.includes('snap_told'));
    await one.stop();
    // Killed between the two: the store has heard of it, the notebook has not.
    const state = {
      oid: 1,
      table: '["public","marks"]',
      order: 'snap_told',
      id: 'snap_told.1',
      attempt: 1,
      key: ['m'],
    };
    const rows = { tables: [{ ...state, ...{ lanes: [], again: [], rows: 2, empties: false, emptied: false, done: true } }], sifts: [], open: [] }; // prettier-ignore
    one.positions.set('', JSON.stringify({ ...(JSON.parse(one.positions.get('')!) as object), rows }));
    one.positions.set('#tables', one.positions.get('#tables')!.replace('"snap_told"', ''));
    const before = one.events.length;
    one.start();
    await eventually('the log knows', () => one.positions.get('#tables')?.includes('snap_told'));
    expect([rowsOf(one, before).size, one.warnings]).toEqual([0, []]);
  });

  it('whoever was read before the log kept a list is not read again', async () => {
    const db = await fresh(`CREATE TABLE marks (m text PRIMARY KEY); INSERT INTO marks VALUES ('first')`);
    const one = await readOnce(db, { tables: ['public.*'] });
    const { orders: _, ...older } = JSON.parse(one.positions.get('#tables')!) as { orders: string[] };
    one.positions.set('#tables', JSON.stringify(older));
    one.orders.push({ id: 'snap_before', tables: ['public.marks'], where: null });
    one.closed.push({ id: 'snap_before', failed: null });
    const before = one.events.length;
    one.start();
    await eventually('the log knows', () => one.positions.get('#tables')?.includes('snap_before'));
    await settle(one, db.client);
    expect(rowsOf(one, before).size).toBe(0);
  });
});
