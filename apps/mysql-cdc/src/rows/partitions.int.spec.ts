import { eventually } from '@planasonix/testing';
import { LEGS } from '../trial/legs.js';
import type { TrialStream } from '../trial/trial-stream.js';
import {
  expectEqual,
  expectUniqueIds,
  fill,
  heldAt,
  MARKS,
  rowsOf,
  serverUnderTest,
  settle,
} from './server-under-test.js';

jest.setTimeout(120_000);

const COLUMNS = 'id, v, note';
/** Statement, tables that are told to be forgotten, and what the stream is set to. */
type Filling = [name: string, statement: string, told: readonly string[], config: object];

const FORM = '(id INT PRIMARY KEY, v INT NOT NULL, note VARCHAR(20))';
const PARTS = `PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (1000), PARTITION p1 VALUES LESS THAN (2000),
  PARTITION p2 VALUES LESS THAN (3000))`;

describe.each(LEGS)('partitions of a table at $name', (leg) => {
  const one = serverUnderTest(leg);
  const isMariaDb = leg.type === 'mariadb';
  let database = '';
  let databases = 0;

  beforeAll(() => one.db.query(MARKS));

  /** Tables of three partitions with 2,500 rows, and of none with 10. */
  async function tables(): Promise<readonly [parted: string, plain: string]> {
    database = `p${++databases}`;
    await one.db.query(`CREATE DATABASE ${database}; USE ${database};
      CREATE TABLE t ${FORM} ${PARTS}; CREATE TABLE x ${FORM}`);
    await fill(one.db, 't', 2500, (n) => `${n}, 0, 'of t'`);
    await fill(one.db, 'x', 10, (n) => `${n * 7}, 1, 'of x'`);
    return [`${database}.t`, `${database}.x`];
  }

  async function reading(config: object): Promise<TrialStream> {
    const stream = one.stream(config);
    stream.start();
    await stream.begun();
    return stream;
  }

  const held = (stream: TrialStream, table: string): number =>
    [...stream.fold().keys()].filter((key) => key.startsWith(`${table} `)).length;

  const noteOf = (stream: TrialStream, table: string): string =>
    stream.progress()?.tables?.find((progress) => progress.table === table && progress.note !== null)?.note ?? '';

  const emptied = (stream: TrialStream): string[] =>
    stream.data().flatMap(({ op, source }) => (op === 't' ? [String(source['table'])] : []));

  /** What was written is in the log, and so are all rows that were to be read. */
  async function whole(stream: TrialStream): Promise<void> {
    await settle(stream, one.db);
    await stream.begun(60_000);
    expectUniqueIds(stream);
  }

  /** Changes rows of the table all the time, in transactions of one statement. */
  async function beside<T>(work: () => Promise<T>): Promise<T> {
    let writing = true;
    const session = await one.session();
    const writer = (async () => {
      for (let n = 0; writing; n++) {
        const id = 1 + ((n * 37) % 2990);
        await session.query(`USE ${database}; UPDATE t SET v = v + 1, note = 'u' WHERE id BETWEEN ${id} AND ${id + 9}`);
        await session.query(`REPLACE INTO t VALUES (${id}, ${n}, 'new')`).catch(() => undefined);
      }
    })();
    const done = await work().finally(() => (writing = false));
    await writer;
    return done;
  }

  it.each([
    ['ALTER TABLE t DROP PARTITION p0', 'DROP PARTITION'],
    ['ALTER TABLE t TRUNCATE PARTITION p0', 'TRUNCATE PARTITION'],
    ...(isMariaDb
      ? [
          ['SET STATEMENT lock_wait_timeout = 9 FOR ALTER TABLE t DROP PARTITION IF EXISTS p0', 'DROP PARTITION'],
          ['ALTER TABLE t CONVERT PARTITION p0 TO TABLE other.taken', 'CONVERT PARTITION'],
        ]
      : []),
  ])('lose rows and the stream goes on: %s', async (statement, said) => {
    await one.db.query('DROP DATABASE IF EXISTS other; CREATE DATABASE other');
    const [table] = await tables();
    const stream = await reading({ tables: [table, 'm.marks'] });
    await one.db.query(`${statement}; INSERT INTO t VALUES (2999, 1, 'later')`);
    await whole(stream);
    expect(held(stream, table)).toBe(2501);
    expect(emptied(stream)).toEqual([]);
    expect(noteOf(stream, table)).toContain(`ALTER TABLE … ${said} took rows away`);
    expect(stream.warnings.filter(({ message }) => message.includes(said))).toHaveLength(1);
    await stream.stop();
    stream.start();
    await whole(stream);
    await eventually('nothing is left', () => stream.rowsOver);
    expect(noteOf(stream, table)).toBe('');
  });

  it('whose rows readers keep are told of until these forget all', async () => {
    const [table] = await tables();
    const stream = await reading({ tables: [table, 'm.marks'], snapshot: 'never' });
    await one.db.query('UPDATE t SET v = 1; ALTER TABLE t DROP PARTITION p0');
    await whole(stream);
    expect(held(stream, table)).toBe(2500);
    await eventually('the note', () => noteOf(stream, table));
    await one.db.query(`ALTER TABLE t TRUNCATE PARTITION ALL; INSERT INTO t VALUES (1500, 1, 'later')`);
    await whole(stream);
    expect(emptied(stream)).toEqual(['t']);
    await expectEqual(stream, one.db, table, COLUMNS);
    expect(noteOf(stream, table)).toBe('');
  });

  it('whose rows readers keep: what removes them, and that an order does not', async () => {
    const [table] = await tables();
    const config = { tables: [`${database}.*`, 'm.marks'] };
    const stream = await reading(config);
    await one.db.query('ALTER TABLE t DROP PARTITION p0');
    await whole(stream);
    stream.order('snap_kept', [table]);
    await stream.ended('snap_kept');
    expect(held(stream, table)).toBe(2500);
    await stream.stop();
    stream.config = { ...config, exclude_tables: [table] };
    stream.start();
    await whole(stream);
    await stream.stop();
    stream.config = config;
    stream.start();
    await whole(stream);
    await expectEqual(stream, one.db, table, COLUMNS);
    await one.db.query('ALTER TABLE t DROP PARTITION p1');
    await whole(stream);
    expect(held(stream, table)).toBe(1501);
    await one.db.query('RENAME TABLE t TO t_; RENAME TABLE t_ TO t');
    await whole(stream);
    await expectEqual(stream, one.db, table, COLUMNS);
    await one.db.query(`ALTER TABLE t ADD PARTITION (PARTITION p3 VALUES LESS THAN (4000));
      INSERT INTO t VALUES (3500, 1, 'kept'); DELETE FROM t PARTITION (p2); ALTER TABLE t DROP PARTITION p2`);
    await whole(stream);
    expect(held(stream, table)).toBe(1);
  });

  it.each<Filling>([
    ['EXCHANGE, both read', 'ALTER TABLE t EXCHANGE PARTITION p0 WITH TABLE x', ['t', 'x'], {}],
    [
      'EXCHANGE, no rows at first',
      'ALTER TABLE t EXCHANGE PARTITION p0 WITH TABLE x',
      ['t', 'x'],
      { snapshot: 'never' },
    ],
    ['EXCHANGE, one read', 'ALTER TABLE t EXCHANGE PARTITION p0 WITH TABLE x', ['t'], { exclude: 'x' }],
    ['EXCHANGE, the other read', 'ALTER TABLE t EXCHANGE PARTITION p0 WITH TABLE x', ['x'], { exclude: 't' }],
    ...(isMariaDb
      ? ([
          ['CONVERT PARTITION', 'ALTER TABLE t CONVERT PARTITION p0 TO TABLE y', ['y'], {}],
          [
            'CONVERT TABLE',
            `UPDATE x SET id = id + 5000; SET STATEMENT lock_wait_timeout = 9 FOR
              ALTER TABLE t CONVERT TABLE x TO PARTITION p5 VALUES LESS THAN (9000)`,
            ['t', 'x'],
            { snapshot: 'never' },
          ],
          ['IGNORE', 'ALTER IGNORE TABLE x ADD UNIQUE (v)', ['x'], {}],
          ['SET STATEMENT', 'SET STATEMENT lock_wait_timeout = 9 FOR ALTER IGNORE TABLE x ADD UNIQUE (v)', ['x'], {}],
        ] satisfies Filling[])
      : []),
  ])('get rows unsaid, and all are read again, beside writers: %s', async (_, statement, told, config) => {
    const [table] = await tables();
    const { exclude = null, ...more } = config as { exclude?: string };
    const excluded = exclude === null ? {} : { exclude_tables: [`${database}.${exclude}`] };
    const stream = await reading({ tables: [`${database}.*`, 'm.marks'], ...more, ...excluded });
    await beside(async () => {
      await one.db.query(statement);
      await stream.seen('"op":"t"');
    });
    await whole(stream);
    expect(emptied(stream).sort()).toEqual(told);
    expect(stream.warnings.some(({ message }) => message.includes('read again'))).toBe(true);
    for (const name of told) {
      const [there] = await one.db.query(`SHOW TABLES LIKE '${name}'`);
      if ((there as unknown[]).length > 0) await expectEqual(stream, one.db, `${database}.${name}`, COLUMNS);
      else expect(held(stream, `${database}.${name}`)).toBe(0);
    }
    if (statement.includes('CONVERT PARTITION')) expect(noteOf(stream, table)).toContain('CONVERT PARTITION');
    else expect(noteOf(stream, table)).toBe('');
  });

  it('are read again by whoever goes on from between the noting and the position', async () => {
    const [table, other] = await tables();
    const stream = one.stream({ tables: [`${database}.*`, 'm.marks'], snapshot: 'never' });
    const noted = (): boolean => stream.positions.get('#asked')?.includes('"renewed":true') === true;
    stream.start(null, () => {
      if (noted()) throw new Error('killed');
    });
    await stream.begun();
    await one.db.query('UPDATE t SET v = 7 WHERE id = 2; ALTER TABLE t EXCHANGE PARTITION p0 WITH TABLE x');
    expect(String(await stream.outcome())).toContain('killed');
    expect(emptied(stream)).toEqual([]);
    await one.db.query(`INSERT INTO t VALUES (2, 2, 'later')`);
    stream.start();
    await whole(stream);
    await expectEqual(stream, one.db, table, COLUMNS);
    await expectEqual(stream, one.db, other, COLUMNS);
    expect(emptied(stream).sort()).toEqual(['t', 'x']);
    await stream.stop();
    stream.start();
    await eventually('nothing is left', () => stream.rowsOver);
  });

  it('are read again by whoever goes on from the position, before any of their rows', async () => {
    const [table, other] = await tables();
    const stream = one.stream({ tables: [`${database}.*`, 'm.marks'], snapshot: 'never' });
    stream.start(null, () => {
      if (emptied(stream).length > 0) throw new Error('killed');
    });
    await stream.begun();
    await one.db.query('ALTER TABLE t EXCHANGE PARTITION p0 WITH TABLE x');
    expect(String(await stream.outcome())).toContain('killed');
    expect(rowsOf(stream, table)).toEqual([]);
    stream.start();
    await whole(stream);
    await expectEqual(stream, one.db, table, COLUMNS);
    await expectEqual(stream, one.db, other, COLUMNS);
    expect(emptied(stream).sort()).toEqual(['t', 'x']);
  });

  it('change places again and again while rows are read', async () => {
    const [table, other] = await tables();
    const stream = one.stream({ tables: [`${database}.*`, 'm.marks'] });
    const [gate, goOn] = heldAt(() => rowsOf(stream, table).length > 0);
    stream.start(null, gate);
    await eventually('rows come', () => rowsOf(stream, table).length > 0);
    for (let n = 1; n <= 3; n++)
      await one.db.query(
        `ALTER TABLE t EXCHANGE PARTITION p0 WITH TABLE x; REPLACE INTO t VALUES (7, ${n}, 't'); REPLACE INTO x VALUES (7, ${n}, 'x')`,
      );
    goOn();
    await whole(stream);
    await expectEqual(stream, one.db, table, COLUMNS);
    await expectEqual(stream, one.db, other, COLUMNS);
  });

  it('without a key are emptied and read as a whole', async () => {
    await tables();
    await one.db
      .query(`CREATE TABLE h (a INT, b VARCHAR(20)) PARTITION BY RANGE (a) (PARTITION p0 VALUES LESS THAN (9));
      CREATE TABLE g (a INT, b VARCHAR(20)); INSERT INTO h VALUES (1, 'h'), (1, 'h'); INSERT INTO g VALUES (2, 'g'), (2, 'g')`);
    const stream = await reading({ tables: [`${database}.h`, 'm.marks'] });
    await one.db.query(`ALTER TABLE h EXCHANGE PARTITION p0 WITH TABLE g; INSERT INTO h VALUES (3, 'later')`);
    await whole(stream);
    let got: unknown[] = [];
    for (const { op, after, source } of stream.data())
      if (source['table'] === 'h') got = op === 't' ? [] : [...got, after!['b']];
    expect(got.sort()).toEqual(['g', 'g', 'later']);
  });

  it('without a key lose rows, and an order of their table has readers forget these', async () => {
    await tables();
    await one.db
      .query(`CREATE TABLE h (a INT) PARTITION BY RANGE (a) (PARTITION p0 VALUES LESS THAN (9), PARTITION p1 VALUES LESS THAN (99));
      INSERT INTO h VALUES (1), (50)`);
    const stream = await reading({ tables: [`${database}.h`, 'm.marks'] });
    await one.db.query('ALTER TABLE h DROP PARTITION p0');
    await eventually('the note', () => noteOf(stream, `${database}.h`).includes('DROP PARTITION'));
    stream.order('snap_h', [`${database}.h`]);
    await stream.ended('snap_h');
    expect(noteOf(stream, `${database}.h`)).toBe('');
  });

  it('do not show under another name what exclude_columns keeps back', async () => {
    const [table, other] = await tables();
    const exchange = 'ALTER TABLE t EXCHANGE PARTITION p0 WITH TABLE x';
    const stream = await reading({ tables: [other, 'm.marks'], exclude_columns: { [table]: ['note'] } });
    await one.db.query(exchange);
    const failure = await eventually('it ends', () => stream.failure);
    expect(failure).toMatchObject({ code: 'config_invalid' });
    expect(String(failure)).toContain('exclude_columns says nothing of note');
    expect(stream.events.some(({ data }) => data.includes('of t'))).toBe(false);
  });
});
