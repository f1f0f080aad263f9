import { eventually } from '@planasonix/testing';
import { decodeNotes, decodePosition, encodeNotes, encodePosition } from '../position.js';
import { LEGS } from '../trial/legs.js';
import type { TrialStream } from '../trial/trial-stream.js';
import { expectUniqueIds, fill, MARKS, rowsOf, serverUnderTest, settle } from './server-under-test.js';

jest.setTimeout(60_000);

const ROWS = 6000;

/** Which of an order's tables a position calls done. */
const doneOf = (position: string | undefined, order: string): string[] =>
  (position === undefined ? [] : (decodePosition(position).rows?.tables ?? [])).flatMap((one) =>
    one.order === order && one.done ? [one.table] : [],
  );

/** The log as it is now, for a fail-over to it later on. */
const copyOf = (stream: TrialStream) => ({ positions: new Map(stream.positions), events: stream.events.length });

/** Its log lacks what came after `copy`, and nothing was committed since: the place is the same. */
function failOver(stream: TrialStream, copy: ReturnType<typeof copyOf>): void {
  const { rows: _, ...place } = decodePosition(stream.positions.get('')!);
  const { rows } = decodePosition(copy.positions.get('')!);
  stream.positions.clear();
  for (const [partition, position] of copy.positions) stream.positions.set(partition, position);
  stream.positions.set('', encodePosition({ ...place, rows }));
  stream.events.length = copy.events;
}

const known = (stream: TrialStream, order: string) =>
  eventually('the log knows', () => stream.positions.get('#asked')?.includes(order));

// The server has no part in it: one is enough.
describe.each(LEGS.slice(0, 1))('orders that are over in $name', (leg) => {
  const one = serverUnderTest(leg);

  beforeAll(async () => {
    await one.db.query(`${MARKS}; CREATE DATABASE l;
      CREATE TABLE l.a (id INT PRIMARY KEY); CREATE TABLE l.b (id INT PRIMARY KEY); CREATE TABLE l.t (id INT PRIMARY KEY)`);
    for (const [table, rows] of [['a', 50], ['b', 50], ['t', ROWS]] as const) await fill(one.db, `l.${table}`, rows, String); // prettier-ignore
  });

  /** Has begun, and takes one table after the other; nobody reads. */
  async function atRest(): Promise<TrialStream> {
    const stream = one.stream({ tables: ['l.*', 'm.marks'], snapshot: 'never', snapshot_readers: 1 });
    stream.start();
    await stream.begun();
    await settle(stream, one.db);
    await stream.stop();
    return stream;
  }

  it('one is not said to be done while rows of its last table are on their way (trap 38, Invariant 7)', async () => {
    const stream = await atRest();
    stream.order('snap_way', ['l.a', 'l.b']);
    const end = new AbortController();
    await stream.look(async (source) => {
      let half: string | null = null;
      for await (const { partition, position } of source.read(new Map(stream.positions), end.signal)) {
        if (partition !== '' || position === null) continue;
        const done = doneOf(position, 'snap_way').length;
        if (done === 1) half ??= position;
        if (done < 2) continue;
        // What says this is handed over, and not durable yet.
        await source.ack('', half!);
        expect(stream.closed).toEqual([]);
        await source.ack('', position);
        expect(stream.closed).toEqual([{ id: 'snap_way', failed: null }]);
        end.abort();
      }
    });
    expect(end.signal.aborted).toBe(true);
  });

  it('one of which an earlier version has read all rows is told so, also where nothing is written', async () => {
    const stream = await atRest();
    stream.order('snap_earlier', ['l.a']);
    stream.deaf = true;
    stream.start();
    await eventually('all rows are there', () => doneOf(stream.positions.get(''), 'snap_earlier').length > 0);
    await stream.stop();
    stream.deaf = false;
    const { rows, ...place } = decodePosition(stream.positions.get('')!);
    expect([stream.closed, rows!.open]).toEqual([[], []]);
    const { open: _, ...earlier } = rows!;
    stream.positions.set('', encodePosition({ ...place, rows: earlier }));
    stream.start();
    expect(await stream.ended('snap_earlier')).toBeNull();
    expect(rowsOf(stream, 'l.a')).toHaveLength(50);
  });

  it.each([
    ['before its first row', 0],
    ['in the middle of its rows', ROWS / 4],
  ])('one that was done is read again, once, where a fail-over has lost it %s (traps 2, 26)', async (_, rows) => {
    const stream = await atRest();
    const ids = () => rowsOf(stream, 'l.t').map(({ after }) => after!['id']);
    let copy: ReturnType<typeof copyOf> | null = null;
    stream.order('snap_lost', ['l.t']);
    stream.start(null, () => void (stream.events.length > rows && (copy ??= copyOf(stream))));
    expect(await stream.ended('snap_lost')).toBeNull();
    await stream.stop();
    expect(ids()).toHaveLength(ROWS);
    expect(copy!.events).toBeLessThan(ROWS);
    failOver(stream, copy!);
    stream.start();
    await eventually('its rows are there', () => new Set(ids()).size === ROWS);
    await known(stream, 'snap_lost');
    expectUniqueIds(stream);
    expect(stream.warnings.map(({ fields }) => fields)).toEqual([{ streamId: stream.id, order: 'snap_lost' }]);
    await settle(stream, one.db);
    await stream.stop();
    const before = ids().length;
    stream.start();
    await settle(stream, one.db);
    expect([ids().length, stream.positions.get('')]).toEqual([before, expect.not.stringContaining('snap_lost')]);
    expect(stream.closed).toEqual([{ id: 'snap_lost', failed: null }]);
  });

  it('one of whose tables the log has one, while the next waits for its turn, is not over: the rest is read again (traps 2, 26)', async () => {
    const stream = await atRest();
    let copy: ReturnType<typeof copyOf> | null = null;
    stream.order('snap_half', ['l.a', 'l.b']);
    stream.start(null, () => {
      if (doneOf(stream.positions.get(''), 'snap_half').length === 1) copy ??= copyOf(stream);
    });
    expect(await stream.ended('snap_half')).toBeNull();
    await stream.stop();
    failOver(stream, copy!);
    expect(['l.a', 'l.b'].map((table) => rowsOf(stream, table).length)).toEqual([50, 0]);
    stream.start();
    await known(stream, 'snap_half');
    expect(['l.a', 'l.b'].map((table) => rowsOf(stream, table).length)).toEqual([50, 50]);
    expect(stream.warnings.map(({ fields }) => fields)).toEqual([{ streamId: stream.id, order: 'snap_half' }]);
  });

  it('one that its position tells the end of is not lost, though the notebook does not know it yet (trap 38)', async () => {
    const stream = await atRest();
    let told = '';
    stream.order('snap_told', ['l.a']);
    stream.start(null, () => {
      if (doneOf(stream.positions.get(''), 'snap_told').length > 0) told ||= stream.positions.get('')!;
    });
    await known(stream, 'snap_told');
    await stream.stop();
    // Killed between the two: the store has heard of it, the notebook has not.
    stream.positions.set('', told);
    stream.positions.set('#asked', stream.positions.get('#asked')!.replace('"snap_told"', ''));
    stream.start();
    await known(stream, 'snap_told');
    expect([rowsOf(stream, 'l.a').length, stream.warnings]).toEqual([50, []]);
    await eventually('it is forgotten', () => !stream.positions.get('')!.includes('snap_told'));
  });

  it('whoever was read before the log kept a list is not read again', async () => {
    const stream = await atRest();
    const { orders, ...older } = decodeNotes(stream.positions.get('#asked')!);
    expect(orders).toEqual([]);
    stream.positions.set('#asked', encodeNotes(older));
    stream.orders.push({ id: 'snap_before', tables: ['l.a'], where: null });
    stream.closed.push({ id: 'snap_before', failed: null });
    stream.start();
    await known(stream, 'snap_before');
    await settle(stream, one.db);
    expect(rowsOf(stream, 'l.a')).toEqual([]);
  });
});
