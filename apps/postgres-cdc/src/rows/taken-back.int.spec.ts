import { eventually } from '@planasonix/testing';
import type { TrialStream } from '../trial/trial-stream.js';
import { settle, sourceUnderTest, type Database } from './source-under-test.js';

jest.setTimeout(120_000);

const { fresh, reading } = sourceUnderTest();

const ROWS = 9_000;
const HEAP = `CREATE TABLE marks (m text PRIMARY KEY);
  CREATE TABLE heap (a int, b text); ALTER TABLE heap REPLICA IDENTITY FULL;
  INSERT INTO heap SELECT i % 100, 'r' || i FROM generate_series(1, ${ROWS}) i; ANALYZE`;
const CONFIG = { tables: ['public.*'], snapshot: 'never', snapshot_readers: 1, snapshot_max_rows_per_second: 4_000 };

/** What a reader of the log has of the table, against the table. */
async function expectWhole(one: TrialStream, { client }: Database): Promise<void> {
  await settle(one, client);
  const { rows } = await client.query<{ b: string }>('SELECT b FROM heap ORDER BY b COLLATE "C"');
  const texts = [...one.fold()].filter(([at]) => at.startsWith('public.heap ')).map(([, row]) => String(row['b']));
  expect(texts.sort()).toEqual(rows.map(({ b }) => b));
}

const notes = (one: TrialStream): (string | null)[] =>
  (one.progress()?.tables ?? []).flatMap(({ table, note }) => (table === 'public.heap' ? [note] : []));

describe('an order of a table without a key that is taken back once readers were told to forget it (Invariant 2)', () => {
  it('is read to its end all the same, and says why', async () => {
    const db = await fresh(HEAP);
    const one = reading(db, CONFIG);
    one.orders.push({ id: 'snap_1', tables: ['public.heap'], where: null });
    let left = false;
    one.start({
      beforeEach: () => {
        if (left || one.events.length < ROWS / 4) return;
        left = true;
        one.orders.pop();
        one.ordersChanged();
      },
    });
    await eventually('half of it is in the log, and nobody wants the rest', () => left);
    await eventually('it says why it goes on', () => notes(one).some((note) => note?.includes('was taken back')));
    await one.rowsDone();
    expect(notes(one)).toEqual([expect.stringContaining('was taken back')]);
    await db.client.query("INSERT INTO heap VALUES (1, 'late')");
    await expectWhole(one, db);
  });

  it('also where that was between two workers, of whom the second had not told readers once more', async () => {
    const db = await fresh(HEAP);
    const one = reading(db, CONFIG);
    one.orders.push({ id: 'snap_1', tables: ['public.heap'], where: null });
    const until = async (over: () => boolean): Promise<void> => {
      one.start({
        beforeEach: () => {
          if (over()) throw new Error('killed');
        },
      });
      expect(String(await one.outcome())).toContain('killed');
    };
    await until(() => one.events.length > ROWS / 4);
    const stands = one.events.length;
    const writer = await db.session();
    await writer.query("BEGIN; INSERT INTO heap VALUES (1, 'of a writer that is waited for')");
    await db.client.query("INSERT INTO marks VALUES ('between')");
    await until(() => one.events.length > stands);
    expect(one.events.slice(stands).map(({ subject }) => subject)).toEqual(['public.marks']);
    await writer.query('ROLLBACK');
    one.orders.pop();
    one.start();
    await eventually('it says why it goes on', () => notes(one).some((note) => note?.includes('was taken back')));
    await one.rowsDone();
    await expectWhole(one, db);
    await one.stop();
    const before = one.events.length;
    one.start();
    await expectWhole(one, db);
    // Nothing of it is left to be read.
    expect(one.events.slice(before).map(({ subject }) => subject)).toEqual(['public.marks']);
  });
});
