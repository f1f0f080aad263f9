import { eventually } from '@planasonix/testing';
import type { RowDataPacket } from 'mysql2/promise';
import { decodePosition } from '../position.js';
import { LEGS } from '../trial/legs.js';
import { fill, MARKS, rowsOf, serverUnderTest, settle } from './server-under-test.js';

jest.setTimeout(120_000);

const ROWS = 45_000;
/** A million letters are made and looked at for each row. */
const SLOW = "CRC32(REPLACE(REPLACE(a, 'a', a), 'a', a)) = 1";

describe.each(LEGS)('orders for few of many rows in $name', (leg) => {
  const one = serverUnderTest(leg);

  beforeAll(async () => {
    await one.db.query(`${MARKS}; CREATE DATABASE s; CREATE TABLE s.u (id INT PRIMARY KEY); INSERT INTO s.u VALUES (1);
      CREATE TABLE s.t (a VARCHAR(100), w CHAR(5) CHARACTER SET latin1, f FLOAT, v INT, PRIMARY KEY (w, f))`);
    await fill(one.db, 's.t', ROWS, (n) => `'${'a'.repeat(100)}', 'k${n % 3}', ${n}e-3, ${n}`);
  });

  const begun = async () => {
    const stream = one.stream({ tables: ['s.*', 'm.marks'], snapshot: 'never', snapshot_readers: 1 });
    stream.start();
    await stream.begun();
    return stream;
  };

  /** The server's sessions that are at such a query. */
  const busyWith = async (text: string): Promise<number> => {
    const [list] = await one.db.query<RowDataPacket[]>('SHOW FULL PROCESSLIST');
    return list.filter((row) => String(row['Info'] ?? '').includes(text) && row['Command'] === 'Query').length;
  };

  it('come on by key, whether or not a row of it is wanted, and go on there', async () => {
    const stream = await begun();
    const places = new Set<string>();
    const look = (): void => {
      const [table] = decodePosition(stream.positions.get('')!).rows?.tables ?? [];
      if (table?.lanes[0]?.after != null) places.add(table.lanes[0].after.join(' '));
    };
    await stream.stop();
    stream.order('snap_few', ['s.t'], `v IN (${ROWS - 2}, ${ROWS - 1})`);
    stream.start(null, () => {
      look();
      if (places.size === 1) throw new Error('killed');
    });
    expect(String(await stream.outcome())).toContain('killed');
    expect(rowsOf(stream, 's.t')).toEqual([]);
    stream.start(null, look);
    expect(await stream.ended('snap_few')).toBeNull();
    expect(rowsOf(stream, 's.t').map(({ after }) => after!['v'])).toEqual([ROWS - 2, ROWS - 1]);
    expect(places.size).toBeGreaterThanOrEqual(2);
  });

  it('load the server no longer than they are wanted', async () => {
    const stream = await begun();
    stream.order('snap_slow', ['s.t'], SLOW);
    await eventually('the server looks for a row', async () => (await busyWith('CRC32')) === 1);
    stream.cancelOrder('snap_slow');
    await eventually('the server is at rest', async () => (await busyWith('CRC32')) === 0);
    stream.order('snap_next', ['s.u']);
    expect(await stream.ended('snap_next')).toBeNull();
    await settle(stream, one.db);
    expect(rowsOf(stream, 's.t')).toEqual([]);
  });
});
