import { expectEqual, settle, sourceUnderTest } from './rows/source-under-test.js';

jest.setTimeout(120_000);

const { fresh, reading } = sourceUnderTest();

describe('composite types that change while a stream runs (trap 17)', () => {
  it('rows and changes have the fields that the server has, before and after', async () => {
    const db = await fresh(`CREATE TABLE marks (m text PRIMARY KEY); CREATE TYPE spot AS (x int, y int);
      CREATE TABLE map (id int PRIMARY KEY, at spot, path spot[]);
      INSERT INTO map SELECT i, ROW(i, i)::spot, ARRAY[ROW(i, -i)::spot] FROM generate_series(1, 500) i`);
    const one = reading(db, { tables: ['public.*'] });
    one.start();
    await one.rowsDone();
    await db.client.query('UPDATE map SET at.x = 0 WHERE id < 10');
    await settle(one, db.client);
    await db.client.query('ALTER TYPE spot ADD ATTRIBUTE z text');
    await db.client.query('BEGIN');
    await db.client.query(`UPDATE map SET at.z = 'a,b', path = NULL WHERE id < 20`);
    await db.client.query(`UPDATE map SET id = -id, at.z = ')' WHERE id < 5`);
    await db.client.query('COMMIT');
    await settle(one, db.client);
    // Rows that nobody touched were told with the fields of then.
    await db.client.query('UPDATE map SET path = path');
    await settle(one, db.client);
    await expectEqual(one, db.client, 'public.map', "'id', id");
    const ids = one.events.map((event) => event.id);
    expect(new Set(ids).size).toBe(ids.length);
  });
});
