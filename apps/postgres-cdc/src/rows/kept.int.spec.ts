import { eventually } from '@planasonix/testing';
import type { Client } from 'pg';
import type { TrialStream } from '../trial/trial-stream.js';
import {
  expectEqual,
  expectNeverBack,
  expectUniqueIds,
  settle,
  sourceUnderTest,
  type Database,
} from './source-under-test.js';

jest.setTimeout(120_000);

const { fresh, reading } = sourceUnderTest();

const CONFIG = { tables: ['public.*'], snapshot_readers: 1 };
const TABLES = ['a', 'b'].map(
  (name) => `CREATE TABLE ${name} (id int PRIMARY KEY, v int);
  INSERT INTO ${name} SELECT i, 1 FROM generate_series(1, 300) i;`,
);
const SETUP = `CREATE TABLE marks (m text PRIMARY KEY); ${TABLES.join('\n')}
  CREATE TABLE heap (id int, v int); ALTER TABLE heap REPLICA IDENTITY FULL; CREATE INDEX ON heap (v);
  INSERT INTO heap SELECT i, 1 FROM generate_series(1, 300) i; ANALYZE`;

const held: Client[] = [];
// Whoever has not let go would keep the slots of the next test from being made.
afterEach(async () => {
  for (const session of held.splice(0)) await session.end();
});

/** Somebody does this and stays in his transaction. */
async function stays(db: Database, sql: string): Promise<() => Promise<unknown>> {
  const session = await db.session();
  held.push(session);
  await session.query(`BEGIN; ${sql}`);
  return () => session.query('COMMIT');
}

function order(one: TrialStream, ...tables: string[]): void {
  for (const table of tables) one.orders.push({ id: `snap_${table}`, tables: [`public.${table}`], where: null });
  one.ordersChanged();
}

const closed = (one: TrialStream): string[] => one.closed.map(({ id, failed }) => failed ?? id);
const noteOf = (one: TrialStream, name: string): string | null | undefined =>
  one.progress()?.tables?.find(({ table, order: of }) => table === `public.${name}` && of !== null)?.note;

/** An order, and a table that is made now. */
async function expectOthersRead(one: TrialStream, db: Database): Promise<void> {
  await db.client.query('CREATE TABLE late (id int PRIMARY KEY, v int); INSERT INTO late SELECT i, i FROM generate_series(1, 50) i'); // prettier-ignore
  one.ordersChanged();
  const read = () => closed(one).includes('snap_b') && one.events.filter(({ subject }) => subject === 'public.late').length >= 50; // prettier-ignore
  await eventually('others are read', () => read() || one.failure !== null);
  expect([one.failure, closed(one)]).toEqual([null, ['snap_b']]);
}

async function expectAllEqual(one: TrialStream, db: Database, ...tables: string[]): Promise<void> {
  await one.rowsDone();
  await settle(one, db.client);
  for (const table of tables) {
    await expectEqual(one, db.client, `public.${table}`, "'id', id");
    expectNeverBack(one, `public.${table}`);
  }
  expectUniqueIds(one);
}

describe('somebody keeps a table from its only reader, and stays in his transaction: others are read, and it follows', () => {
  it.each([
    ['has written to it', 'UPDATE a SET v = 3 WHERE id = 3', /pid \d+/],
    ['has it locked', 'LOCK TABLE a IN ACCESS EXCLUSIVE MODE', /pid \d+/],
    ['rebuilds its index', 'REINDEX INDEX a_pkey', /locked/],
  ])('he %s (traps 12, 13)', async (_, sql, note) => {
    const db = await fresh(SETUP);
    const one = reading(db, CONFIG);
    one.start();
    await one.rowsDone();
    const letGo = await stays(db, sql);
    order(one, 'a', 'b');
    await eventually('it says why', () => note.test(noteOf(one, 'a') ?? ''));
    await expectOthersRead(one, db);
    expect(noteOf(one, 'a')).toMatch(note);
    if (sql.startsWith('UPDATE'))
      await db.client.query('UPDATE a SET v = 2 WHERE id > 200; DELETE FROM a WHERE id = 1');
    await letGo();
    await eventually('it follows', () => closed(one).includes('snap_a'));
    expect(one.events.filter(({ data }) => data.includes('"op":"t"'))).toHaveLength(0);
    await expectAllEqual(one, db, 'a', 'b', 'late');
  });

  it.each([
    ['has written to one without a key', 'UPDATE heap SET v = 3 WHERE id = 3', /pid \d+/],
    ['rebuilds an index of one without a key', 'REINDEX INDEX heap_v_idx', /locked/],
  ])('he %s, and the stream does not stand for it', async (_, sql, note) => {
    const db = await fresh(SETUP);
    const one = reading(db, CONFIG);
    one.start();
    await one.rowsDone();
    const letGo = await stays(db, sql);
    order(one, 'heap', 'b');
    await eventually('it says why', () => note.test(noteOf(one, 'heap') ?? ''));
    await expectOthersRead(one, db);
    await settle(one, db.client);
    await letGo();
    await eventually('it follows', () => closed(one).includes('snap_heap'));
    await one.rowsDone();
    await settle(one, db.client);
    const { rows } = await db.client.query<{ v: string }>('SELECT v::text FROM heap ORDER BY id');
    const came = [...one.fold()].filter(([at]) => at.startsWith('public.heap ')).map(([, row]) => row);
    const sorted = came.sort((x, y) => Number(x['id']) - Number(y['id'])).map((row) => String(row['v']));
    expect(sorted).toEqual(rows.map((row) => row.v));
  });

  it.each([
    ['has one locked', false],
    ['stands in line to lock one', true],
  ])('he %s whose rows a publication filters: nobody waits to be told the filter', async (_, inLine) => {
    const db = await fresh(`${SETUP}; ALTER TABLE a ADD big text; UPDATE a SET big = 'x';
      INSERT INTO a SELECT i, 1, repeat('x', 400) FROM generate_series(301, 65000) i; ANALYZE;
      CREATE PUBLICATION ours FOR TABLE marks, a WHERE (id > 100), b`);
    const tables = ['public.marks', 'public.a', 'public.b'];
    const one = reading(db, { tables, publication: 'ours', snapshot: 'never', snapshot_readers: 2 });
    one.start();
    await eventually('it runs', () => one.connected);
    await one.stop();
    const letGo = await stays(db, inLine ? 'SELECT FROM a' : 'LOCK TABLE a IN ACCESS EXCLUSIVE MODE');
    const locker = await db.session();
    held.push(locker);
    const locked = inLine ? locker.query('BEGIN; LOCK TABLE a') : null;
    const waits = async () => (await db.client.query('SELECT FROM pg_locks WHERE NOT granted')).rowCount === 1;
    if (inLine) await eventually('he stands in line', waits);
    one.start();
    await eventually('it runs', () => one.connected || one.failure !== null);
    order(one, 'a', 'b');
    await eventually('the other one is read', () => closed(one).length > 0);
    await eventually('it says why', () => noteOf(one, 'a') !== null || one.failure !== null);
    expect([one.failure, closed(one)]).toEqual([null, ['snap_b']]);
    await letGo();
    await locked;
    await locker.query('COMMIT');
    const notes = new Set<string | null | undefined>();
    await eventually('it follows', () => {
      notes.add(noteOf(one, 'a'));
      return closed(one).length > 1 || one.failure !== null;
    });
    // Whose lock was waited out has it no more.
    if (!inLine) expect([...notes].filter((note) => note?.includes('locked'))).toEqual([]);
    const ids = one.events.flatMap(({ subject, partitionkey }) => (subject === 'public.a' ? [(JSON.parse(partitionkey) as { id: number }).id] : [])); // prettier-ignore
    const [least, count] = [ids.reduce((x, y) => Math.min(x, y)), new Set(ids).size];
    expect([closed(one), least, count]).toEqual([['snap_b', 'snap_a'], 101, 64_900]);
  });

  it('he has the same one locked in a database of the same template: OIDs are the same, and nobody waits for him', async () => {
    const made = await fresh(`${SETUP}; CREATE PUBLICATION ours FOR TABLE marks, a WHERE (id > 100), b`);
    await made.client.end();
    const name = `copy_of_${made.name}`;
    await (await fresh('')).client.query(`CREATE DATABASE ${name} TEMPLATE ${made.name}`);
    const tables = ['public.marks', 'public.a', 'public.b'];
    const one = reading({ name }, { ...CONFIG, tables, publication: 'ours', snapshot: 'never' });
    one.start();
    await eventually('it runs', () => one.connected);
    await stays(made, 'LOCK TABLE a IN ACCESS EXCLUSIVE MODE');
    order(one, 'a');
    await eventually('it is read', () => closed(one).length > 0 || one.failure !== null);
    expect([one.failure, closed(one), one.events.length]).toEqual([null, ['snap_a'], 200]);
  });

  it('he has written to it, and the session for questions breaks meanwhile: another one is asked', async () => {
    const db = await fresh(SETUP);
    const one = reading(db, CONFIG);
    one.start();
    await one.rowsDone();
    const letGo = await stays(db, 'UPDATE a SET v = 3 WHERE id = 3');
    order(one, 'a', 'b');
    await eventually('others have their turn', () => closed(one).includes('snap_b'));
    const broken = async () => {
      const { rowCount } = await db.client.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1
           AND state = 'idle' AND query LIKE '%virtualtransaction%'
           AND clock_timestamp() - state_change BETWEEN interval '100 ms' AND interval '400 ms'`,
        [`planasonix_${db.name} control`],
      );
      return rowCount === 1;
    };
    await eventually('it is broken between two looks at writers', broken, { everyMs: 20 });
    await letGo();
    await eventually('it follows', () => closed(one).includes('snap_a') || one.failure !== null);
    expect(one.failure).toBeNull();
    await expectAllEqual(one, db, 'a', 'b');
  });

  it('he locks it amid its rows: it goes on where it was', async () => {
    const db = await fresh(`${SETUP}; INSERT INTO a SELECT i, 1 FROM generate_series(301, 60000) i; ANALYZE a`);
    const config = { ...CONFIG, snapshot: 'never' };
    const one = reading(db, { ...config, snapshot_max_rows_per_second: 2_000 });
    const rows = () => one.events.filter(({ subject }) => subject === 'public.a').length;
    one.start();
    await eventually('it runs', () => one.connected);
    order(one, 'a', 'b');
    await eventually('its rows come', () => rows() > 0);
    const letGo = await stays(db, 'LOCK TABLE a IN ACCESS EXCLUSIVE MODE');
    await eventually('the other one is read', () => one.closed.length > 0);
    const before = rows();
    expect([closed(one), before < 60_000]).toEqual([['snap_b'], true]);
    await letGo();
    await eventually('it goes on', () => rows() > before);
    await one.stop();
    one.configure(config);
    one.start();
    await eventually('it follows', () => closed(one).includes('snap_a'));
    expect(rows()).toBe(60_000);
    await expectAllEqual(one, db, 'a', 'b');
  });

  it('he locks it while rows alone are read: all of one moment', async () => {
    const db = await fresh(SETUP);
    const letGo = await stays(db, 'LOCK TABLE a IN ACCESS EXCLUSIVE MODE; UPDATE a SET v = 2');
    const one = reading(db, { ...CONFIG, snapshot: 'only' });
    one.start();
    const rows = (table: string) => one.events.filter(({ subject }) => subject === `public.${table}`).length;
    await eventually('the others are read', () => rows('b') === 300 && rows('heap') === 300);
    expect(rows('a')).toBe(0);
    await letGo();
    expect(await one.outcome()).toBeNull();
    expect(one.events.flatMap(({ subject, data }) => (subject === 'public.a' && data.includes('"v":1') ? [1] : []))).toHaveLength(300); // prettier-ignore
  });
});
