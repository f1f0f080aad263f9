import { eventually } from '@planasonix/testing';
import { LEGS } from '../trial/legs.js';
import {
  expectEqual,
  expectUniqueIds,
  fill,
  heldAt,
  killedAfterRows,
  killedAt,
  MARKS,
  rowsOf,
  serverUnderTest,
  settle,
} from './server-under-test.js';

jest.setTimeout(120_000);

describe.each(LEGS)('orders for rows of $name', (leg) => {
  const one = serverUnderTest(leg);

  beforeAll(async () => {
    await one.db.query(`${MARKS}; CREATE DATABASE o;
      CREATE TABLE o.t (id INT PRIMARY KEY, v INT, name VARCHAR(20), secret VARCHAR(20), big BIGINT UNSIGNED);
      CREATE TABLE o.u (id INT PRIMARY KEY, v INT); INSERT INTO o.u VALUES (1, 1), (2, 2);
      CREATE TABLE o.heap (a INT); INSERT INTO o.heap VALUES (1), (2), (3)`);
    await fill(one.db, 'o.t', 30_000, (n) => `${n}, ${n % 10}, 'n${n}', 'canary', ${n}`);
  });

  const begun = async (more: object = {}) => {
    const stream = one.stream({
      ...{ tables: ['o.*', 'm.marks'], snapshot: 'never', exclude_columns: { 'o.t': ['secret'] } },
      ...more,
    });
    stream.start();
    await stream.begun();
    return stream;
  };
  const ids = (stream: Awaited<ReturnType<typeof begun>>, table = 'o.t') =>
    rowsOf(stream, table).map(({ after }) => after!['id'] as number);

  it('bring the rows that their condition wants, and say that they are done; the stream goes on', async () => {
    const stream = await begun();
    stream.order('snap_1', ['o.t', 'o.u'], 'id <= 12 AND v IN (1, 2)');
    expect(await stream.ended('snap_1')).toBeNull();
    expect([...ids(stream)].sort((a, b) => a - b)).toEqual([1, 2, 11, 12]);
    expect(ids(stream, 'o.u')).toEqual([1, 2]);
    expect(stream.events.every(({ id }) => id.startsWith('snap-snap_1.'))).toBe(true);
    expect(JSON.stringify(stream.data())).not.toMatch(/canary|secret/);
    await settle(stream, one.db);
    // Nothing is left of it in the position once that is known.
    await eventually('it is forgotten', async () => {
      await settle(stream, one.db);
      return !stream.positions.get('')!.includes('"rows"');
    });
    expect(stream.progress()).toMatchObject({ state: 'done', rows_done: 6 });
  });

  it('are gone on with where they were broken off, also when their end was not noted', async () => {
    const stream = await begun();
    await stream.stop();
    stream.order('snap_2', ['o.t']);
    for (const batches of [3, 9, 15]) {
      stream.start(null, killedAt(batches));
      await stream.outcome();
    }
    expect(stream.closed).toEqual([]);
    stream.deaf = true;
    stream.start();
    await eventually('all rows are there', () => {
      const { rows } = JSON.parse(stream.positions.get('')!) as { rows: { tables: { done: boolean }[] } };
      return rows.tables.every(({ done }) => done);
    });
    await stream.stop();
    expect(stream.closed).toEqual([]);
    stream.deaf = false;
    stream.start();
    expect(await stream.ended('snap_2')).toBeNull();
    const all = ids(stream);
    expect([all.length, new Set(all).size]).toEqual([30_000, 30_000]);
  });

  it('that are read anew, after a position that was set, bring rows with other ids (Invariant 4)', async () => {
    const stream = await begun();
    const place = JSON.parse(stream.positions.get('')!) as object;
    await settle(stream, one.db);
    await stream.stop();
    stream.order('snap_anew', ['o.t']);
    stream.start(null, killedAfterRows(stream, 2000));
    await stream.outcome();
    const before = ids(stream).length;
    expect(before).toBeGreaterThanOrEqual(2000);
    for (const [name, text] of await stream.settle(place)) stream.positions.set(name, text);
    stream.start();
    expect(await stream.ended('snap_anew')).toBeNull();
    expect(ids(stream)).toHaveLength(before + 30_000);
    expectUniqueIds(stream);
  });

  it('are taken back while they are read; another one goes on', async () => {
    const stream = one.stream({ tables: ['o.*', 'm.marks'], snapshot: 'never', snapshot_readers: 1 });
    const [halted, goOn] = heldAt(() => stream.events.length >= 1000);
    stream.start(null, halted);
    await stream.begun();
    // Nothing is under way: what is shown below is shown of orders that nobody looked at while they ran.
    await settle(stream, one.db);
    stream.order('snap_3', ['o.t']);
    await stream.count(1000);
    stream.cancelOrder('snap_3');
    stream.order('snap_4', ['o.u']);
    goOn();
    expect(await stream.ended('snap_4')).toBeNull();
    await settle(stream, one.db);
    expect(ids(stream).length).toBeLessThan(30_000);
    expect(stream.progress()?.tables).toContainEqual(expect.objectContaining({ order: 'snap_3', state: 'cancelled' }));
    expect(stream.positions.get('')).not.toContain('snap_3');
    expect(stream.closed.map(({ id }) => id)).toEqual(['snap_4']);
  });

  it('of a table without a key say that readers forget it; with a condition they are refused, and no change is left out', async () => {
    const stream = await begun();
    stream.order('snap_5', ['o.heap']);
    expect(await stream.ended('snap_5')).toBeNull();
    expect(stream.data().map(({ op }) => op)).toEqual(['t', 'r', 'r', 'r']);
    await stream.stop();
    // What is written while nobody reads is behind where the log stands, and before where rows are read.
    await one.db.query('DELETE FROM o.heap WHERE a = 1; INSERT INTO o.heap VALUES (4)');
    stream.order('snap_6', ['o.heap'], 'a = 2');
    stream.start();
    expect(await stream.ended('snap_6')).toMatch(/o\.heap, which has no key/);
    await settle(stream, one.db);
    const changes = stream
      .data()
      .filter(({ source }) => source['table'] === 'heap')
      .slice(4);
    expect(changes).toMatchObject([
      { op: 'd', before: { a: 1 } },
      { op: 'c', after: { a: 4 } },
    ]);
  });

  it('end as failed where their tables are none of the stream, or their condition fails on a row', async () => {
    const stream = await begun();
    stream.order('snap_7', ['m.nowhere']);
    expect(await stream.ended('snap_7')).toMatch(/None of its tables/);
    stream.order('snap_8', ['o.t'], 'big - 100 > 5');
    expect(await stream.ended('snap_8')).toMatch(/fails on rows of o\.t/);
    await settle(stream, one.db);
    expect(stream.failure).toBeNull();
  });

  it('are carried out also where nothing is written: behind a statement, and at the head of a file', async () => {
    const stream = await begun();
    await one.db.query('CREATE TABLE o.z (id INT PRIMARY KEY); TRUNCATE TABLE o.z');
    await stream.count(1);
    stream.order('snap_behind', ['o.u']);
    expect(await stream.ended('snap_behind')).toBeNull();
    await one.db.query('FLUSH BINARY LOGS');
    stream.order('snap_head', ['o.u']);
    expect(await stream.ended('snap_head')).toBeNull();
    await stream.stop();
    stream.start();
    stream.order('snap_again', ['o.u']);
    expect(await stream.ended('snap_again')).toBeNull();
    expect(rowsOf(stream, 'o.u')).toHaveLength(6);
  });

  it('go between no halves of a transaction, where whoever read the first was killed (Invariant 5)', async () => {
    const stream = await begun();
    await stream.stop();
    await one.db.query('CREATE TABLE o.halved (id INT PRIMARY KEY, v INT)');
    await fill(one.db, 'o.halved', 5000, (n) => `${n}, 0`);
    await one.db.query('UPDATE o.halved SET v = 1');
    const large = () => stream.events.filter(({ data }) => data.includes('"v":1') && data.includes('"op":"u"')).length;
    stream.start(null, () => {
      if (large() > 0) throw new Error('killed');
    });
    await stream.outcome();
    expect([large() > 0, large() < 5000]).toEqual([true, true]);
    const killed = stream.events.length;
    stream.order('snap_halves', ['o.heap', 'o.u']);
    stream.start();
    expect(await stream.ended('snap_halves')).toBeNull();
    const since = stream.events.slice(killed).map(({ data }) => JSON.parse(data.toString()) as { op: string });
    expect(large()).toBe(5000);
    expect(since.map(({ op }) => op).join('')).toMatch(/^u+[tr]{6}$/);
    await stream.stop();
    await one.db.query('DROP TABLE o.halved');
  });

  it('are judged before they are taken', async () => {
    const stream = one.stream({ tables: ['o.*'], exclude_columns: { 'o.t': ['secret'] } });
    const codes = async (tables: string[], where: string | null = null) =>
      (await stream.checkOrder(tables, where)).map(({ code }) => code);
    expect(await codes(['o.t', 'o.u'], "id > 5 AND v BETWEEN 1 AND 3 OR LOWER('X') = 'x'")).toEqual([]);
    expect(await codes(['o.nothing'])).toEqual(['no_tables']);
    expect(await codes(['m.marks'])).toEqual(['no_tables']);
    expect(await codes(['not a name'])).toEqual(['config_invalid']);
    for (const where of ["secret LIKE 'c%'", 'nope = 1', 'id IN (SELECT 1)', 'SLEEP(1) = 0', 'id >', '1) OR (1 = 1'])
      // prettier-ignore
      expect([where, await codes(['o.t'], where)]).toEqual([where, ['where_invalid']]);
    expect(await codes(['o.heap'])).toEqual([]);
    expect(await codes(['o.heap'], 'a = 2')).toEqual(['where_invalid']);
    expect(await stream.checkOrder(['o.*'], '1 = 1')).toMatchObject([{ message: expect.stringContaining('o.heap') as string }]); // prettier-ignore
  });

  it('come beside the rows of the beginning, and what both say is the table', async () => {
    const stream = one.stream({ tables: ['o.t', 'm.marks'], exclude_columns: { 'o.t': ['secret'] } });
    stream.order('snap_9', ['o.t'], 'id > 29000');
    stream.start();
    await stream.begun();
    expect(await stream.ended('snap_9')).toBeNull();
    expect(ids(stream)).toHaveLength(31_000);
    await expectEqual(stream, one.db, 'o.t', 'id, v, name');
  });
});
