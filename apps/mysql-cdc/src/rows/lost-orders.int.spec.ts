import { eventually } from '@planasonix/testing';
import { decodePosition, encodePosition } from '../position.js';
import { LEGS } from '../trial/legs.js';
import type { TrialStream } from '../trial/trial-stream.js';
import { fill, MARKS, rowsOf, serverUnderTest, settle } from './server-under-test.js';

jest.setTimeout(60_000);

/** Which of an order's tables a position calls done. */
const doneOf = (position: string | undefined, order: string): string[] =>
  (position === undefined ? [] : (decodePosition(position).rows?.tables ?? [])).flatMap((one) =>
    one.order === order && one.done ? [one.table] : [],
  );

// The server has no part in it: one is enough.
describe.each(LEGS.slice(0, 1))('orders that are over in $name', (leg) => {
  const one = serverUnderTest(leg);

  beforeAll(async () => {
    await one.db.query(`${MARKS}; CREATE DATABASE l;
      CREATE TABLE l.a (id INT PRIMARY KEY); CREATE TABLE l.b (id INT PRIMARY KEY); CREATE TABLE l.t (id INT PRIMARY KEY)`);
    for (const [table, rows] of [['a', 50], ['b', 50], ['t', 6000]] as const) await fill(one.db, `l.${table}`, rows, String); // prettier-ignore
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
});
