import { eventually } from '@planasonix/testing';
import { expectUniqueIds, settle, sourceUnderTest, type Database } from './source-under-test.js';
import type { TrialStream } from '../trial/trial-stream.js';

jest.setTimeout(120_000);

const { fresh, reading } = sourceUnderTest();

const ROWS = 20_000;
const HEAP = `CREATE TABLE marks (m text PRIMARY KEY); CREATE TABLE again (id int PRIMARY KEY, v text);
  INSERT INTO again SELECT i, 'old' FROM generate_series(1, 300) i;
  CREATE TABLE heap (a int, b text); ALTER TABLE heap REPLICA IDENTITY FULL;
  INSERT INTO heap SELECT i % 100, 'r' || i FROM generate_series(1, ${ROWS}) i; ANALYZE`;

/** What a reader of the log has of a table, against the table. */
async function expectWhole(one: TrialStream, { client }: Database, table: string, column: string): Promise<void> {
  await settle(one, client);
  const { rows } = await client.query<{ is: string }>(`SELECT ${column} AS is FROM ${table}`);
  const texts = [...one.fold()].filter(([at]) => at.startsWith(`public.${table} `)).map(([, row]) => String(row[column])); // prettier-ignore
  expect(texts.sort()).toEqual(rows.map((row) => row.is).sort());
}

describe('a table without a key, while the stream stands for it', () => {
  it('does not stand for ever where tables come, or are made anew, amid it; these have their turn behind it', async () => {
    const db = await fresh(HEAP);
    const one = reading(db, { tables: ['public.*'], snapshot_readers: 1, snapshot_max_rows_per_second: 5_000 });
    let before = Infinity;
    let found = false;
    let amid = false;
    const published = async (): Promise<boolean> => {
      const { rowCount } = await db.client.query(
        "SELECT FROM pg_publication_tables WHERE tablename IN ('later', 'again')",
      );
      return rowCount === 2;
    };
    one.start({
      beforeEach: async () => {
        if (!amid && one.events.length > before) {
          amid = true;
          // The stream has yet to say the first of it, of the table that is no more.
          await db.client.query(`DELETE FROM again WHERE id > 100; DROP TABLE again;
            CREATE TABLE again (id int PRIMARY KEY, v text); INSERT INTO again SELECT i, 'new' FROM generate_series(1, 50) i;
            CREATE TABLE later (id int PRIMARY KEY, v text); INSERT INTO later SELECT i, 'l' || i FROM generate_series(1, 50) i`);
          one.ordersChanged();
        }
        found ||= amid && one.events.length < before + ROWS && (await published());
      },
    });
    await one.rowsDone();
    before = one.events.length;
    one.orders.push({ id: 'snap_1', tables: ['public.heap'], where: null });
    one.ordersChanged();
    await eventually('the order is over', () => one.closed.length > 0);
    expect(found).toBe(true);
    for (const text of ['"new"', '"l50"']) await one.seen(text);
    await one.rowsDone();
    await expectWhole(one, db, 'heap', 'b');
    await expectWhole(one, db, 'later', 'v');
    await expectWhole(one, db, 'again', 'v');
  });

  it('is emptied once more where its rows could not be read then, and the stream has gone on (Invariant 4)', async () => {
    const db = await fresh(HEAP);
    const one = reading(db, { tables: ['public.*'], snapshot: 'never' });
    one.start();
    await eventually('it reads', () => one.lsn !== '0/0');
    const [holder, locker] = [await db.session(), await db.session()];
    await holder.query('BEGIN; SELECT FROM heap LIMIT 1');
    // No writer yet: it stands in line, and our reader behind it.
    const locked = locker.query('BEGIN; LOCK TABLE heap');
    const inLine = async (): Promise<number | null> =>
      (await db.client.query("SELECT FROM pg_locks WHERE relation = 'heap'::regclass AND NOT granted")).rowCount;
    await eventually('it stands in line', async () => (await inLine()) === 1);
    one.orders.push({ id: 'snap_1', tables: ['public.heap'], where: null });
    one.ordersChanged();
    await eventually('its reader stands behind', async () => (await inLine()) === 2, { everyMs: 20 });
    await holder.query('COMMIT');
    await locked;
    await locker.query("INSERT INTO heap VALUES (1, 'meanwhile')");
    await eventually('it has not got there', () => one.progress()?.tables?.some(({ note }) => note !== null));
    await locker.query('COMMIT');
    await eventually('the order is over', () => one.closed.length > 0);
    await expectWhole(one, db, 'heap', 'b');
    expect(one.events.filter(({ data }) => data.includes('"op":"t"'))).toHaveLength(2);
    expectUniqueIds(one);
  });
});
