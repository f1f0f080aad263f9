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

describe('an order that is taken back while the stream is paused', () => {
  /** At the first rows of the order nobody takes anything any more, until `goOn`. */
  async function paused() {
    const db = await fresh(`CREATE TABLE marks (m text PRIMARY KEY); CREATE TABLE big (id int PRIMARY KEY, v text);
      INSERT INTO big SELECT i, repeat('f', 600) FROM generate_series(1, 45000) i; ANALYZE`);
    const one = reading(db, { tables: ['public.*'], snapshot: 'never' });
    one.orders.push({ id: 'snap_1', tables: ['public.big'], where: null });
    let goOn = (): void => undefined;
    const pause = new Promise<void>((resolve) => (goOn = resolve));
    let stands = false;
    one.start({
      beforeEach: async ({ events }) => {
        stands ||= events.length > 0;
        if (stands) await pause;
      },
    });
    const asked = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND query LIKE 'COPY%"big"%'`;
    const readers = async (): Promise<number> => (await db.client.query(asked)).rowCount ?? 0;
    await eventually('its readers are held up', async () => stands && (await readers()) > 0);
    const rows = (): number => one.events.filter(({ subject }) => subject === 'public.big').length;
    const state = (): unknown => one.progress()?.tables?.[0]?.state;
    return { db, one, goOn, readers, rows, state };
  }

  it('is given up then, and its table is let alone', async () => {
    const { one, db, goOn, readers, state } = await paused();
    one.orders.pop();
    one.ordersChanged();
    await eventually('it is given up', () => state() === 'cancelled');
    await eventually('nobody reads of it', async () => (await readers()) === 0);
    goOn();
    await settle(one, db.client);
  });

  it('says nothing more when that goes on, also before the store has said what was taken back', async () => {
    const { one, db, goOn, readers, rows, state } = await paused();
    let answer = (): void => undefined;
    one.storeAnswers = new Promise((resolve) => (answer = resolve));
    one.orders.pop();
    one.ordersChanged();
    goOn();
    await db.client.query("INSERT INTO marks VALUES ('meanwhile')");
    await one.seen('meanwhile');
    expect([await readers(), state()]).toEqual([1, 'running']);
    // The batch that it was paused at.
    expect(rows()).toBe(1000);
    answer();
    await eventually('nobody reads of it', async () => (await readers()) === 0);
    await settle(one, db.client);
    expect([rows(), state()]).toEqual([1000, 'cancelled']);
  });
});
