import type { Mysqld } from '@planasonix/testing';
import type { Connection } from 'mysql2/promise';
import { connectionOf, dial, FURTHER_LEGS } from './trial/legs.js';
import { TrialStream } from './trial/trial-stream.js';

describe.each(FURTHER_LEGS)('changes of $name', ({ type, start }) => {
  let server: Mysqld;
  let db: Connection;
  let n = 0;
  const streams: TrialStream[] = [];

  beforeAll(async () => {
    server = await start({ config: { max_binlog_size: 1_000_000 } });
    db = await dial(server);
  });
  afterEach(async () => {
    for (const stream of streams.splice(0)) await stream.stop();
  });
  afterAll(async () => {
    await db.end();
    await server.stop();
  });

  /** A database of its own, and a stream of it that reads changes. */
  async function reading(
    tables: string,
    config: object = { snapshot: 'never' },
  ): Promise<{ of: string; stream: TrialStream }> {
    const of = `d${++n}`;
    await db.query(`CREATE DATABASE ${of}; USE ${of}; ${tables}`);
    const stream = new TrialStream(`str_${of}`, { tables: [`${of}.*`], ...config }, connectionOf(server), type);
    streams.push(stream);
    stream.start();
    await stream.begun();
    return { of, stream };
  }

  const short = (stream: TrialStream) =>
    stream.data().map(({ op, before, after, source }) => [op, source['table'], before, after]);

  it('come whole, in order, with their place; a changed key is a delete and an insert', async () => {
    const { of, stream } = await reading('CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))');
    await db.query("INSERT INTO t VALUES (1, 'a'), (2, 'b')");
    await db.query(
      "START TRANSACTION; UPDATE t SET v = 'c' WHERE id = 1; UPDATE t SET id = 3 WHERE id = 2; DELETE FROM t WHERE id = 1; COMMIT",
    );
    await stream.count(6);
    expect(short(stream)).toEqual([
      ['c', 't', null, { id: 1, v: 'a' }],
      ['c', 't', null, { id: 2, v: 'b' }],
      ['u', 't', { id: 1, v: 'a' }, { id: 1, v: 'c' }],
      ['d', 't', { id: 2, v: 'b' }, null],
      ['c', 't', null, { id: 3, v: 'b' }],
      ['d', 't', { id: 1, v: 'c' }, null],
    ]);
    expect(stream.events.map(({ partitionkey }) => partitionkey)).toEqual([
      '{"id":1}',
      '{"id":2}',
      '{"id":1}',
      '{"id":2}',
      '{"id":3}',
      '{"id":1}',
    ]);
    const { source } = stream.data()[0]!;
    expect(source).toMatchObject({
      connector: type,
      db: of,
      schema: of,
      table: 't',
      snapshot: false,
      server_id: 1,
      row: 0,
    });
    expect(source['gtid']).toMatch(type === 'mariadb' ? /^0-1-\d+$/ : /^[0-9a-f-]{36}:\d+$/);
    expect(new Set(stream.events.map(({ id }) => id)).size).toBe(6);
    expect(stream.events.every(({ timeMs }) => Math.abs(Date.now() - timeMs) < 60_000)).toBe(true);
    expect(stream.events.map(({ order }) => order)).toEqual(stream.events.map(({ order }) => order).sort());
  });

  it('go on where they were after a kill in the midst of a large transaction, each once, with the same id (trap 18)', async () => {
    const { stream } = await reading('CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(200))');
    await db.query("INSERT INTO t VALUES (0, 'first')");
    await stream.count(1);
    await stream.stop();
    await db
      .query('SET SESSION cte_max_recursion_depth = 10000')
      .catch(() => db.query('SET SESSION max_recursive_iterations = 10000'));
    await db.query(
      "INSERT INTO t WITH RECURSIVE s AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM s WHERE i < 5000) SELECT i, REPEAT('x', 200) FROM s",
    );
    const before = stream.positions.get('');
    let batches = 0;
    stream.start(null, () => {
      // The last transaction was read again to prove the log; three pieces of the large one are in.
      if (++batches > 5) throw new Error('killed');
    });
    expect(await stream.outcome()).toMatchObject({ message: 'killed' });
    expect(stream.events.length).toBeGreaterThan(1000);
    expect(stream.events.length).toBeLessThan(5001);
    expect(stream.positions.get('')).toBe(before);
    const ids = stream.events.map(({ id }) => id);
    stream.start();
    await stream.count(5001);
    expect(stream.dropped).toBe(ids.length - 1);
    expect(stream.events.slice(0, ids.length).map(({ id }) => id)).toEqual(ids);
    expect(new Set(stream.events.map(({ id }) => id)).size).toBe(5001);
    expect(stream.fold().size).toBe(5001);
  });

  it('are named as their columns were then, whatever DDL came since, also while nobody read (trap 20)', async () => {
    const { stream } = await reading('CREATE TABLE t (id INT PRIMARY KEY, a INT, b VARCHAR(10) CHARACTER SET latin1)');
    await db.query("INSERT INTO t VALUES (1, 10, 'é')");
    await stream.count(1);
    await stream.stop();
    await db.query(`INSERT INTO t VALUES (2, 20, 'é');
      ALTER TABLE t ADD COLUMN c BIGINT UNSIGNED FIRST; INSERT INTO t VALUES (18446744073709551615, 3, 30, 'é');
      ALTER TABLE t RENAME COLUMN a TO z, MODIFY b VARCHAR(10) CHARACTER SET utf8mb4 AFTER c; INSERT INTO t VALUES (1, 'é', 4, 40);
      ALTER TABLE t DROP COLUMN z, DROP PRIMARY KEY, ADD PRIMARY KEY (b, id); INSERT INTO t VALUES (1, 'é', 5);
      CREATE TABLE later (id INT PRIMARY KEY); INSERT INTO later VALUES (1); DROP TABLE later`);
    stream.start();
    await stream.count(7);
    expect(stream.events.map(({ data }) => data.toString().replace(/^.*?"after":(.*),"unchanged.*$/, '$1'))).toEqual([
      '{"id":1,"a":10,"b":"é"}',
      '{"id":2,"a":20,"b":"é"}',
      '{"c":18446744073709551615,"id":3,"a":30,"b":"é"}',
      '{"c":1,"b":"é","id":4,"z":40}',
      '{"c":1,"b":"é","id":5}',
      '{"id":1}',
      'null',
    ]);
    expect(stream.events.map(({ partitionkey }) => partitionkey).slice(3)).toEqual([
      '{"id":4}',
      '{"b":"é","id":5}',
      '{"id":1}',
      '',
    ]);
    expect(stream.data().at(-1)).toMatchObject({ op: 't', source: { table: 'later' } });
  });

  it('of engines without transactions, triggers, savepoints, CREATE … SELECT and several tables come as they are', async () => {
    const { of, stream } =
      await reading(`CREATE TABLE m (id INT PRIMARY KEY) ENGINE=MyISAM; CREATE TABLE a (id INT PRIMARY KEY); CREATE TABLE b (id INT PRIMARY KEY);
      CREATE TRIGGER after_a AFTER INSERT ON a FOR EACH ROW INSERT INTO b VALUES (NEW.id + 100)`);
    await db.query(`START TRANSACTION; INSERT INTO m VALUES (1); INSERT INTO a VALUES (1); COMMIT;
      START TRANSACTION; SAVEPOINT s; INSERT INTO a VALUES (2); ROLLBACK TO s; COMMIT;
      START TRANSACTION; INSERT INTO a VALUES (9); ROLLBACK;
      CREATE TABLE c SELECT id FROM a; UPDATE a, b SET a.id = 7, b.id = 107; TRUNCATE TABLE a; DROP DATABASE IF EXISTS nothing_here`);
    await stream.seen('"op":"t"');
    const found = short(stream).map(
      ([op, table, before, after]) =>
        `${String(op)} ${String(table)} ${JSON.stringify(before)} ${JSON.stringify(after)}`,
    );
    expect(found.sort()).toEqual(
      [
        ...['c m null {"id":1}', 'c a null {"id":1}', 'c b null {"id":101}', 'c c null {"id":1}'],
        ...['d a {"id":1} null', 'c a null {"id":7}', 'd b {"id":101} null', 'c b null {"id":107}', 't a null null'],
      ].sort(),
    );
    await db.query(`DROP DATABASE ${of}`);
    await stream.count(found.length + 4);
    expect(
      stream
        .data()
        .slice(-4)
        .map(({ op }) => op),
    ).toEqual(['t', 't', 't', 't']);
  });

  it.each([
    ['ALTER TABLE fresh DISCARD TABLESPACE', 'offset_gap'],
    [
      "SET SESSION binlog_format = STATEMENT; INSERT INTO t VALUES (2, 'x'); SET SESSION binlog_format = ROW",
      'binlog_format_unsupported',
    ],
    [
      "SET SESSION binlog_row_image = MINIMAL; UPDATE t SET v = 'y'; SET SESSION binlog_row_image = FULL",
      'row_image_unsupported',
    ],
    [
      "SET GLOBAL binlog_row_metadata = MINIMAL; INSERT INTO t VALUES (3, 'x'); SET GLOBAL binlog_row_metadata = FULL",
      'row_image_unsupported',
    ],
    [
      "XA START 'one'; INSERT INTO t VALUES (4, 'x'); XA END 'one'; XA PREPARE 'one'; XA COMMIT 'one'",
      'xa_unsupported',
    ],
    ...(type === 'mariadb'
      ? [
          ["SET STATEMENT binlog_format = 'STATEMENT' FOR INSERT INTO t VALUES (5, 'x')", 'binlog_format_unsupported'],
          ['SET STATEMENT lock_wait_timeout = 9 FOR ALTER TABLE fresh DISCARD TABLESPACE', 'offset_gap'],
        ]
      : []),
  ])('%s ends the stream and is not passed over (trap 19)', async (sql, code) => {
    const { stream } = await reading(
      `CREATE TABLE t (id INT PRIMARY KEY, v CHAR(9)); CREATE TABLE fresh LIKE t; INSERT INTO t VALUES (1, 'x')`,
    );
    await db.query(sql);
    expect(await stream.outcome()).toMatchObject({ code });
    const place = stream.positions.get('');
    stream.start();
    expect(await stream.outcome()).toMatchObject({ code });
    expect(stream.positions.get('')).toBe(place);
  });

  it('of a server that is killed and comes back are all there', async () => {
    const { of, stream } = await reading('CREATE TABLE t (id INT PRIMARY KEY)');
    await db.query('INSERT INTO t VALUES (1), (2)');
    await stream.count(2);
    await db.query('FLUSH BINARY LOGS; INSERT INTO t VALUES (3)');
    await stream.count(3);
    await server.kill();
    expect(await stream.outcome()).toMatchObject({ code: 'source_unreachable' });
    await server.start();
    db = await dial(server);
    await db.query(`USE ${of}; INSERT INTO t VALUES (4)`);
    stream.start();
    await stream.count(4);
    expect(stream.data().map(({ after }) => after?.['id'])).toEqual([1, 2, 3, 4]);
    expect(stream.dropped).toBe(0);
  });

  it('tell how far they are behind, whether they are read or not', async () => {
    const { stream } = await reading('CREATE TABLE t (id INT PRIMARY KEY); CREATE TABLE unasked (id INT PRIMARY KEY)');
    stream.config = { ...stream.config, exclude_tables: [`d${n}.unasked`] };
    await db.query('INSERT INTO t VALUES (1)');
    await stream.count(1);
    await stream.seen('"id":1');
    expect(await stream.lag()).toMatchObject({ oldestPendingMs: null });
    await stream.stop();
    await db.query('INSERT INTO unasked VALUES (1)');
    expect(await stream.lag()).toMatchObject({ oldestPendingMs: null, provedAtMs: expect.any(Number) as number });
    await db.query('INSERT INTO t VALUES (2)');
    const { oldestPendingMs, backlogBytes } = await stream.lag();
    expect(Math.abs(Date.now() - oldestPendingMs!)).toBeLessThan(30_000);
    expect(backlogBytes).toBeGreaterThan(0);
  });
});
