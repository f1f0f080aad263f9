import { eventually, type Mysqld } from '@planasonix/testing';
import type { Connection } from 'mysql2/promise';
import { killedAfterRows } from './rows/server-under-test.js';
import { connectionOf, dial, LEGS } from './trial/legs.js';
import { Pair } from './trial/replica.js';
import { TrialStream } from './trial/trial-stream.js';

jest.setTimeout(120_000);

interface Place {
  readonly file: string;
  readonly server: string;
  readonly gtids: string;
  readonly gtid: string;
  readonly attempt: number;
}

describe.each(LEGS)('a stream of $name at a replica', ({ type, start }) => {
  // MariaDB would stop replicating before its log holds errant transactions before others.
  const loose: Readonly<Record<string, string>> =
    type === 'mariadb' ? { gtid_strict_mode: 'OFF', log_slave_updates: 'ON' } : {};
  let primary: Mysqld;
  let follower: Mysqld;
  let db: Connection;
  let replica: Connection;
  let pair: Pair;
  let stream: TrialStream;
  let n = 0;

  beforeAll(async () => {
    [primary, follower] = await Promise.all([start({ config: loose }), start({ config: { ...loose, server_id: 2 } })]);
    [db, replica] = await Promise.all([dial(primary), dial(follower)]);
    pair = new Pair(type, primary, db, replica);
  });
  beforeEach(async () => {
    n += 1;
    await pair.begin();
    await db.query(`CREATE DATABASE d${n}; USE d${n}; CREATE TABLE t (id INT PRIMARY KEY, v CHAR(9))`);
    await pair.level();
    await replica.query(`USE d${n}`);
    stream = make();
    stream.start();
    await stream.begun();
    // Of MariaDB a replica keeps when statements began, and not when they were committed.
    await db.query("INSERT INTO t VALUES (1, 'a'); START TRANSACTION; SET timestamp = 1700000000; INSERT INTO t VALUES (2, 'b'); SET timestamp = 1700000009; INSERT INTO t VALUES (3, 'c'); SET timestamp = 1700000020; COMMIT; SET timestamp = DEFAULT"); // prettier-ignore
    await stream.count(3);
    await stream.seen('"id":3');
  });
  afterEach(() => stream.stop());
  afterAll(async () => {
    await Promise.all([db.end().catch(() => undefined), replica.end()]);
    await Promise.all([primary.stop(), follower.stop()]);
  });

  const make = (): TrialStream =>
    new TrialStream(`str_${n}`, { tables: [`d${n}.t`], snapshot: 'never' }, connectionOf(primary), type);
  const placeOf = (of = stream): Place => JSON.parse(of.positions.get('')!) as Place;
  const rows = (of = stream) => of.data().map(({ op, after }) => [op, after?.['id']]);
  /** Everything that has come so far is committed with its place, and nothing reads. */
  const settled = async (last: number): Promise<void> => {
    await stream.count(last);
    await stream.stop();
    await pair.level();
  };
  const move = (): void => {
    stream.server = connectionOf(follower);
    stream.start();
  };
  const refused = async (code: string, message: RegExp): Promise<void> => {
    const [before, count] = [stream.positions.get(''), stream.events.length];
    await expect(stream.lag()).rejects.toMatchObject({ code });
    stream.start();
    expect(await stream.outcome()).toMatchObject({
      code,
      message: expect.stringMatching(message) as string,
      hint: expect.stringContaining('onLostPosition') as string,
    });
    expect(stream.events).toHaveLength(count);
    expect(stream.positions.get('')).toBe(before);
  };

  it('goes on where it was, over files, with the ids that the events have at the primary, and back again', async () => {
    await settled(3);
    const witness = make();
    for (const [name, text] of stream.positions) witness.positions.set(name, text);
    await db.query("INSERT INTO t VALUES (4, 'd'); FLUSH BINARY LOGS; UPDATE t SET v = 'z' WHERE id IN (1, 4)");
    await pair.level();
    await replica.query('FLUSH BINARY LOGS');
    witness.start();
    await witness.count(3);
    await witness.stop();
    const [before, orders] = [placeOf(), stream.events.map(({ order }) => order)];
    stream.server = connectionOf(follower);
    expect(await stream.lag()).toMatchObject({ oldestPendingMs: expect.any(Number) as number });
    move();
    await stream.count(6);
    await pair.promote();
    await replica.query("INSERT INTO t VALUES (5, 'e')");
    await stream.count(7);
    await stream.stop();
    expect(rows()).toEqual([
      ...['c 1', 'c 2', 'c 3', 'c 4', 'u 1', 'u 4', 'c 5'].map((text) => [text[0], Number(text[2])]),
    ]);
    expect(stream.events.slice(3, 6).map(({ id }) => id)).toEqual(witness.events.map(({ id }) => id));
    expect(new Set(stream.events.map(({ id }) => id)).size).toBe(7);
    expect(stream.dropped).toBe(0);
    expect(stream.events[3]!.order! > orders.at(-1)!).toBe(true);
    expect(placeOf()).toMatchObject({ attempt: before.attempt + 1 });
    expect(placeOf().server).not.toBe(before.server);
    // On the same server it goes on by its place there.
    stream.start();
    await replica.query("INSERT INTO t VALUES (6, 'f')");
    await stream.count(8);
    expect(placeOf()).toMatchObject({ attempt: before.attempt + 1 });
    await stream.stop();
    // The primary of before has not got what was written since.
    stream.server = connectionOf(primary);
    await refused('source_identity_changed', /lacks|none of/);
  });

  it('goes on with rows that were broken off at the primary, from where they were', async () => {
    await stream.stop();
    const values = Array.from({ length: 5000 }, (_, i) => `(${i + 10}, 'w')`).join(',');
    await db.query(`INSERT INTO t VALUES ${values}`);
    stream = new TrialStream(`str_${n}_rows`, { tables: [`d${n}.t`] }, connectionOf(primary), type);
    stream.start(null, killedAfterRows(stream, 2000));
    await stream.outcome();
    const before = stream.events.length;
    await db.query(
      "UPDATE t SET v = 'x' WHERE id % 50 = 0; DELETE FROM t WHERE id % 51 = 0; INSERT INTO t VALUES (9000, 'y')",
    );
    await pair.level();
    move();
    await stream.begun();
    await stream.seen('"id":9000');
    const [table] = (await replica.query('SELECT id, v FROM t')) as unknown as [{ id: number; v: string }[]];
    const expected = table.map(({ id, v }) => [`d${n}.t {"id":${id}}`, `{"id":${id},"v":"${v}"}`]);
    expect([...stream.fold()].sort()).toEqual(expected.sort());
    expect(
      stream
        .data()
        .slice(before)
        .filter(({ op }) => op === 'r').length,
    ).toBeLessThanOrEqual(3003);
  });

  it.each(['initial', 'never'])('goes on also where it began amid writes (snapshot: %s)', async (snapshot) => {
    await stream.stop();
    const writers = await Promise.all([1, 2, 3].map(() => dial(primary)));
    let writing = true;
    const writes = writers.map(async (writer, of) => {
      for (let id = 100 + of; writing; id += 3)
        await writer.query(`INSERT INTO d${n}.t VALUES (${id}, 'w'); UPDATE d${n}.t SET v = 'x' WHERE id = ${id}`);
    });
    stream = new TrialStream(`str_${n}_${snapshot}`, { tables: [`d${n}.t`], snapshot }, connectionOf(primary), type);
    stream.start();
    await stream.begun();
    await stream.count(300);
    writing = false;
    await Promise.all(writes);
    await Promise.all(writers.map((writer) => writer.end()));
    await db.query("INSERT INTO t VALUES (50, 'last')");
    await stream.seen('last');
    await stream.stop();
    await db.query("UPDATE t SET v = 'y' WHERE id > 50; DELETE FROM t WHERE id = 50; INSERT INTO t VALUES (51, 'new')");
    await pair.level();
    const before = stream.events.length;
    move();
    await stream.seen('"new"');
    const [[table]] = (await replica.query('SELECT COUNT(*) AS n, SUM(v = ?) AS y FROM t', ['y'])) as unknown as [
      [{ n: number; y: string }],
    ];
    if (snapshot === 'initial') expect(stream.fold().size).toBe(table.n);
    // What was not read, each once, and nothing else.
    expect(stream.events).toHaveLength(before + Number(table.y) + 2);
    expect(new Set(stream.events.map(({ id }) => id)).size).toBe(stream.events.length);
    expect(stream.dropped).toBe(0);
  });

  it('ends where the replica never got what was read (errant transactions of the primary)', async () => {
    await pair.level();
    await pair.promote();
    await db.query("INSERT INTO t VALUES (4, 'lost')");
    await stream.count(4);
    await stream.stop();
    stream.server = connectionOf(follower);
    await refused('source_identity_changed', /The server lacks .*never reached it|none of the transactions that were read last/); // prettier-ignore
  });

  it('ends where the replica wrote by itself before what was read (errant transactions of the replica)', async () => {
    await pair.level();
    await replica.query("INSERT INTO t VALUES (99, 'errant')");
    await db.query("INSERT INTO t VALUES (4, 'd')");
    await settled(4);
    stream.server = connectionOf(follower);
    await refused('source_identity_changed', /which was not read, before/);
  });

  it('ends where the replica has thrown away what was not read', async () => {
    await settled(3);
    await db.query("INSERT INTO t VALUES (4, 'gone')");
    await pair.level();
    await replica.query('FLUSH BINARY LOGS');
    await eventually('the log is purged', async () => {
      await replica.query("PURGE BINARY LOGS TO 'binlog.000002'");
      const [files] = await replica.query('SHOW BINARY LOGS');
      return (files as { Log_name: string }[])[0]?.Log_name === 'binlog.000002';
    });
    stream.server = connectionOf(follower);
    await refused('log_purged', /thrown away transactions that were not read/);
  });

  it('ends where the log of the replica was reset', async () => {
    await settled(3);
    await pair.promote();
    await pair.reset(replica);
    await replica.query("INSERT INTO t VALUES (4, 'd')");
    stream.server = connectionOf(follower);
    await refused('source_identity_changed', /log was reset/);
  });

  it('waits for a replica that has yet to apply what was read, and goes on then', async () => {
    await pair.level();
    await replica.query('LOCK TABLES t READ');
    await db.query("INSERT INTO t VALUES (4, 'd')");
    await stream.count(4);
    await stream.stop();
    await pair.received(type === 'mariadb' ? placeOf().gtid : `-${placeOf().gtid.split(':')[1]}`);
    stream.server = connectionOf(follower);
    stream.start();
    expect(await stream.outcome()).toMatchObject({ code: 'source_unreachable', recourse: 'retry' });
    await replica.query('UNLOCK TABLES');
    await pair.level();
    await db.query("INSERT INTO t VALUES (5, 'e')");
    stream.start();
    await stream.count(5);
    expect(rows().map(([, id]) => id)).toEqual([1, 2, 3, 4, 5]);
    expect(stream.dropped).toBe(0);
  });

  if (type === 'mysql')
    it('ends where the other server has no GTIDs', async () => {
      await settled(3);
      await pair.promote();
      await replica.query('SET GLOBAL gtid_mode = ON_PERMISSIVE');
      stream.server = connectionOf(follower);
      stream.start();
      expect(await stream.outcome()).toMatchObject({
        code: 'source_identity_changed',
        hint: expect.stringContaining('gtid_mode = ON') as string,
      });
      await replica.query('SET GLOBAL gtid_mode = ON');
    });
  else
    it.each([
      ['the transaction that was read last', false],
      ['one of a file before', true],
    ])('ends where the same GTIDs are those of another history, told by %s (trap 20a)', async (_, rotated) => {
      const { file } = placeOf();
      if (rotated) {
        await db.query('FLUSH BINARY LOGS');
        await eventually('the place is in the next file', () => placeOf().file !== file);
      }
      await settled(3);
      await pair.promote();
      await pair.reset(replica);
      const [[row]] = (await db.query('SELECT @@GLOBAL.gtid_binlog_pos AS at')) as unknown as [[{ at: string }]];
      const last = Number(row.at.split('-')[2]);
      await replica.query('SET SESSION server_id = 1, timestamp = 1600000000');
      for (let id = 0; id <= last; id++) await replica.query(`INSERT INTO t VALUES (${50 + id}, 'twin')`);
      await replica.query('SET SESSION server_id = 2, timestamp = DEFAULT');
      stream.server = connectionOf(follower);
      await refused('source_identity_changed', /another history/);
    });

  it('goes on at a replica that is promoted once its primary is killed', async () => {
    await db.query("INSERT INTO t VALUES (4, 'd')");
    await pair.level();
    await primary.kill();
    expect(await stream.outcome()).toMatchObject({ code: 'source_unreachable' });
    await pair.promote();
    await replica.query("INSERT INTO t VALUES (5, 'e')");
    move();
    await stream.count(5);
    expect(rows().map(([, id]) => id)).toEqual([1, 2, 3, 4, 5]);
    expect(stream.dropped).toBe(0);
  });
});
