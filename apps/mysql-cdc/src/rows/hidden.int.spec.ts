import { eventually } from '@planasonix/testing';
import { LEGS } from '../trial/legs.js';
import { fill, heldAt, MARKS, rowsOf, serverUnderTest, settle } from './server-under-test.js';

jest.setTimeout(120_000);

describe.each(LEGS)('tables of $name that can not be read when their turn comes', (leg) => {
  const one = serverUnderTest(leg);
  const reader = { user: 'reader', password: 'secret-canary' };
  let database = '';
  let databases = 0;

  beforeAll(async () => {
    await one.db.query(`${MARKS}; CREATE USER reader@'%' IDENTIFIED BY 'secret-canary';
      GRANT REPLICATION CLIENT, REPLICATION SLAVE ON *.* TO reader@'%'; GRANT SELECT ON m.* TO reader@'%'`);
  });

  /** Two tables; one reader comes to the second once all rows of the first are there. */
  const tables = async (rows: number, rowsOfB = 3) => {
    database = `h${++databases}`;
    await one.db.query(`CREATE DATABASE ${database};
      CREATE TABLE ${database}.a (id INT PRIMARY KEY, v INT); CREATE TABLE ${database}.b (id INT PRIMARY KEY, v INT)`);
    await fill(one.db, `${database}.a`, rows, (n) => `${n}, 0`);
    await fill(one.db, `${database}.b`, rowsOfB, (n) => `${n}, 0`);
    return { a: `${database}.a`, b: `${database}.b` };
  };
  const streamOf = (more: object = {}, user: object = {}) =>
    one.stream({ tables: [`${database}.*`, 'm.marks'], snapshot_readers: 1, ...more }, user);

  it('for a right that was taken away end the reading, and no row is left out once it is back', async () => {
    const { a, b } = await tables(5000);
    for (const table of [a, b]) await one.db.query(`GRANT SELECT ON ${table} TO reader@'%'`);
    const stream = streamOf({}, reader);
    const [halted, goOn] = heldAt(() => stream.events.length >= 1000);
    stream.start(null, halted);
    await stream.count(1000);
    await one.db.query(`REVOKE SELECT ON ${b} FROM reader@'%'`);
    goOn();
    expect(await eventually('it ends', () => stream.failure)).toMatchObject({ code: 'permission_denied' });
    await stream.outcome();
    await one.db.query(`GRANT SELECT ON ${b} TO reader@'%'`);
    stream.start();
    await stream.begun();
    expect([rowsOf(stream, a).length, rowsOf(stream, b).length]).toEqual([5000, 3]);
  });

  it('for they were dropped, with their schema too, are left out', async () => {
    const { a, b } = await tables(5000);
    await one.db.query(`CREATE DATABASE ${database}_gone; CREATE TABLE ${database}_gone.z (id INT PRIMARY KEY)`);
    const stream = streamOf({ tables: [`${database}.*`, `${database}_gone.*`, 'm.marks'] });
    const [halted, goOn] = heldAt(() => stream.events.length >= 1000);
    stream.start(null, halted);
    await stream.count(1000);
    await one.db.query(`DROP DATABASE ${database}_gone; DROP TABLE ${b}`);
    goOn();
    await stream.begun();
    await settle(stream, one.db);
    expect([rowsOf(stream, a).length, rowsOf(stream, b).length]).toEqual([5000, 0]);
  });

  it('for somebody holds them locked are waited for, and the changes of others come', async () => {
    const { a, b } = await tables(10, 70_000);
    const owner = await one.session();
    await owner.query(`LOCK TABLES ${b} WRITE`);
    const stream = streamOf({ snapshot_readers: 2 });
    stream.start();
    await eventually('it says so', () => {
      if (stream.failure !== null) throw stream.failure;
      return stream.progress()?.tables?.some((of) => of.table === b && of.note?.includes('locked'));
    });
    await one.db.query(`INSERT INTO ${a} VALUES (4242, 4242)`);
    await stream.seen('"v":4242');
    expect(rowsOf(stream, b)).toEqual([]);
    await owner.query('UNLOCK TABLES');
    await stream.begun();
    expect(rowsOf(stream, b)).toHaveLength(70_000);
    await stream.stop();
    await owner.query(`LOCK TABLES ${b} WRITE`);
    stream.order('snap_locked', [b], 'id <= 3');
    stream.start();
    await one.db.query(`INSERT INTO ${a} VALUES (4343, 4343)`);
    await stream.seen('"v":4343');
    // Somebody waits for rows of it (Invariant 7).
    expect([stream.rowsOver, stream.closed]).toEqual([false, []]);
    await owner.query('UNLOCK TABLES');
    expect(await stream.ended('snap_locked')).toBeNull();
    expect(rowsOf(stream, b)).toHaveLength(70_003);
  });

  it('for their form was changed since the one moment that rows alone are of: they are read as of a later one', async () => {
    const { a, b } = await tables(30_000);
    const stream = streamOf({ snapshot: 'only' });
    const [halted, goOn] = heldAt(() => stream.events.length >= 1000);
    stream.start(null, halted);
    await stream.count(1000);
    await one.db.query(`ALTER TABLE ${b} ADD COLUMN w INT NOT NULL DEFAULT 7 FIRST, FORCE`);
    goOn();
    expect(await eventually('it ends', () => stream.failure)).toMatchObject({ code: 'snapshot_failed' });
    await stream.outcome();
    stream.start();
    expect(await stream.outcome()).toBeNull();
    expect([rowsOf(stream, a).length, rowsOf(stream, b).length]).toEqual([30_000, 3]);
    expect(rowsOf(stream, b)[0]).toMatchObject({ after: { w: 7 } });
  });

  it('for a right that was taken away are none for which the condition of an order is blamed', async () => {
    const { a } = await tables(30_000);
    await one.db.query(`GRANT SELECT ON ${a} TO reader@'%'`);
    const stream = streamOf({ tables: [a, 'm.marks'], snapshot: 'never' }, reader);
    const [halted, goOn] = heldAt(() => stream.events.length >= 1000);
    stream.start(null, halted);
    await stream.begun();
    stream.order('snap_1', [a], 'id > 0');
    await stream.count(1000);
    await one.db.query(`REVOKE SELECT ON ${a} FROM reader@'%'`);
    goOn();
    expect(await eventually('it ends', () => stream.failure)).toMatchObject({ code: 'permission_denied' });
    expect(stream.closed).toEqual([]);
    await stream.outcome();
  });
});
