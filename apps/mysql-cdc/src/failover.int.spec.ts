import { systemClock } from '@planasonix/core';
import { eventually, startProxy } from '@planasonix/testing';
import { GtidSet } from './gtid-set.js';
import { decodePosition, type MySqlPosition } from './position.js';
import { positionForLook } from './rest-place.js';
import { killedAfterRows } from './rows/server-under-test.js';
import { serverOf } from './server.js';
import { Failover } from './trial/failover.js';
import { connectionOf, dial, LEGS, sessionsOf } from './trial/legs.js';
import { TrialStream } from './trial/trial-stream.js';

jest.setTimeout(120_000);

describe.each(LEGS)('a stream of $name goes on at a replica', (leg) => {
  const { type } = leg;
  const at = new Failover(leg);
  beforeAll(() => at.up());
  beforeEach(() => at.begin());
  afterEach(() => at.stream.stop());
  afterAll(() => at.down());

  it('goes on where it was, over files, with the ids that the events have at the primary, and back again', async () => {
    await at.settled(3);
    const witness = at.make();
    for (const [name, text] of at.stream.positions) witness.positions.set(name, text);
    await at.db.query("INSERT INTO t VALUES (4, 'd'); FLUSH BINARY LOGS; UPDATE t SET v = 'z' WHERE id IN (1, 4)");
    await at.pair.level();
    await at.replica.query('FLUSH BINARY LOGS');
    witness.start();
    await witness.count(3);
    await witness.stop();
    const [before, orders] = [at.placeOf(), at.stream.events.map(({ order }) => order)];
    at.stream.server = connectionOf(at.follower);
    expect(await at.stream.lag()).toMatchObject({ oldestPendingMs: expect.any(Number) as number });
    at.move();
    await at.stream.count(6);
    await at.pair.promote();
    await at.replica.query("INSERT INTO t VALUES (5, 'e')");
    await at.stream.count(7);
    await at.stream.stop();
    expect(at.rows()).toEqual([
      ...['c 1', 'c 2', 'c 3', 'c 4', 'u 1', 'u 4', 'c 5'].map((text) => [text[0], Number(text[2])]),
    ]);
    expect(at.stream.events.slice(3, 6).map(({ id }) => id)).toEqual(witness.events.map(({ id }) => id));
    expect(new Set(at.stream.events.map(({ id }) => id)).size).toBe(7);
    expect(at.stream.dropped).toBe(0);
    expect(at.stream.events[3]!.order! > orders.at(-1)!).toBe(true);
    expect(at.placeOf()).toMatchObject({ attempt: before.attempt + 1 });
    expect(at.placeOf().server).not.toBe(before.server);
    // On the same server it goes on by its place there.
    at.stream.start();
    await at.replica.query("INSERT INTO t VALUES (6, 'f')");
    await at.stream.count(8);
    expect(at.placeOf()).toMatchObject({ attempt: before.attempt + 1 });
    await at.stream.stop();
    // The primary of before has not got what was written since.
    at.stream.server = connectionOf(at.primary);
    at.stream.start();
    expect(await at.stream.outcome()).toMatchObject({
      code: 'source_identity_changed',
      message: expect.stringMatching(/lacks|none of/) as string,
    });
  });

  it.each(['never', 'initial'])(
    'loses no change to what rows of a table without a key held at the primary, with snapshot %s (Invariant 2)',
    async (snapshot) => {
      await at.settled(3);
      const { stream, n } = at;
      const sift = { schema: `d${n}`, table: 'later', file: 'binlog.000099', pos: 4 };
      stream.positions.set('', JSON.stringify({ ...at.placeOf(), rows: { tables: [], sifts: [sift] } }));
      stream.config = { tables: [`d${n}.*`], snapshot };
      await at.pair.promote();
      at.move();
      await stream.begun();
      await at.replica.query('CREATE TABLE later (a INT); INSERT INTO later VALUES (7)');
      await stream.count(4);
      expect(stream.data().at(-1)).toMatchObject({ op: 'c', after: { a: 7 } });
    },
  );

  it('knows which transaction rows have to see there', async () => {
    await at.settled(3);
    const { server } = at.placeOf();
    at.move();
    await eventually('it has moved', () => at.placeOf().server !== server);
    const { file, last } = decodePosition(at.stream.positions.get('')!);
    const [events] = await at.replica.query(`SHOW BINLOG EVENTS IN '${file}'`);
    const begins = (events as { Event_type: string; Pos: number }[]).filter((one) => one.Event_type === 'Gtid');
    expect(last).toEqual({ file, pos: begins.at(-1)!.Pos });
  });

  it('goes on with rows that were broken off at the primary, from where they were', async () => {
    await at.stream.stop();
    const { db, replica, pair, n } = at;
    const values = Array.from({ length: 5000 }, (_, i) => `(${i + 10}, 'w')`).join(',');
    await db.query(`INSERT INTO t VALUES ${values}`);
    at.stream = new TrialStream(`str_${n}_rows`, { tables: [`d${n}.t`] }, connectionOf(at.primary), type);
    at.stream.start(null, killedAfterRows(at.stream, 2000));
    await at.stream.outcome();
    const before = at.stream.events.length;
    await db.query(
      "UPDATE t SET v = 'x' WHERE id % 50 = 0; DELETE FROM t WHERE id % 51 = 0; INSERT INTO t VALUES (9000, 'y')",
    );
    await pair.level();
    at.move();
    await at.stream.begun();
    await at.stream.seen('"id":9000');
    const [table] = (await replica.query('SELECT id, v FROM t')) as unknown as [{ id: number; v: string }[]];
    const expected = table.map(({ id, v }) => [`d${n}.t {"id":${id}}`, `{"id":${id},"v":"${v}"}`]);
    expect([...at.stream.fold()].sort()).toEqual(expected.sort());
    const again = at.stream
      .data()
      .slice(before)
      .filter(({ op }) => op === 'r');
    expect(again.length).toBeLessThanOrEqual(3003);
  });

  it.each(['initial', 'never'])('goes on also where it began amid writes (snapshot: %s)', async (snapshot) => {
    await at.stream.stop();
    const writers = await Promise.all([1, 2, 3].map(() => dial(at.primary)));
    let writing = true;
    const writes = writers.map(async (writer, of) => {
      for (let id = 100 + of; writing; id += 3)
        await writer.query(
          `INSERT INTO d${at.n}.t VALUES (${id}, 'w'); UPDATE d${at.n}.t SET v = 'x' WHERE id = ${id}`,
        );
    });
    at.stream = new TrialStream(
      `str_${at.n}_${snapshot}`,
      { tables: [`d${at.n}.t`], snapshot },
      connectionOf(at.primary),
      type,
    );
    at.stream.start();
    await at.stream.begun();
    await at.stream.count(300);
    writing = false;
    await Promise.all(writes);
    await Promise.all(writers.map((writer) => writer.end()));
    await at.db.query("INSERT INTO t VALUES (50, 'last')");
    await at.stream.seen('last');
    await at.stream.stop();
    await at.db.query(
      "UPDATE t SET v = 'y' WHERE id > 50; DELETE FROM t WHERE id = 50; INSERT INTO t VALUES (51, 'new')",
    );
    await at.pair.level();
    const before = at.stream.events.length;
    at.move();
    await at.stream.seen('"new"');
    const [[table]] = (await at.replica.query('SELECT COUNT(*) AS n, SUM(v = ?) AS y FROM t', ['y'])) as unknown as [
      [{ n: number; y: string }],
    ];
    if (snapshot === 'initial') expect(at.stream.fold().size).toBe(table.n);
    // What was not read, each once, and nothing else.
    expect(at.stream.events).toHaveLength(before + Number(table.y) + 2);
    expect(new Set(at.stream.events.map(({ id }) => id)).size).toBe(at.stream.events.length);
    expect(at.stream.dropped).toBe(0);
  });

  it('waits for a replica that has yet to apply what was read, and goes on then', async () => {
    await at.pair.level();
    await at.replica.query('LOCK TABLES t READ');
    await at.db.query("INSERT INTO t VALUES (4, 'd')");
    await at.stream.count(4);
    await at.stream.stop();
    await at.pair.received(type === 'mariadb' ? at.placeOf().gtid : `-${at.placeOf().gtid.split(':')[1]}`);
    at.stream.server = connectionOf(at.follower);
    at.stream.start();
    expect(await at.stream.outcome()).toMatchObject({ code: 'source_unreachable', recourse: 'retry' });
    await at.replica.query('UNLOCK TABLES');
    await at.pair.level();
    await at.db.query("INSERT INTO t VALUES (5, 'e')");
    at.stream.start();
    await at.stream.count(5);
    expect(at.rows().map(([, id]) => id)).toEqual([1, 2, 3, 4, 5]);
    expect(at.stream.dropped).toBe(0);
  });

  it('waits for it also as a user who may not ask whether it lags, and says how that is granted', async () => {
    const rights = `SELECT, REPLICATION CLIENT, REPLICATION SLAVE${type === 'mysql' ? ', XA_RECOVER_ADMIN' : ''}`;
    await at.db.query(`DROP USER IF EXISTS few@'%'; CREATE USER few@'%' IDENTIFIED BY 'secret-canary'`);
    await at.db.query(`GRANT ${rights} ON *.* TO few@'%'`);
    await at.pair.level();
    await at.replica.query('LOCK TABLES t READ');
    await at.db.query("INSERT INTO t VALUES (4, 'd')");
    await at.stream.count(4);
    await at.stream.stop();
    at.stream.server = { ...connectionOf(at.follower), user: 'few', password: 'secret-canary' };
    at.stream.start();
    const grant = "GRANT SLAVE MONITOR ON *.* TO 'few'@'%';";
    const hint = type === 'mariadb' ? grant : 'Nothing is to be done';
    expect(await at.stream.outcome()).toMatchObject({
      ...{ code: 'source_unreachable', recourse: 'retry' },
      hint: expect.stringContaining(hint) as string,
    });
    await at.replica.query('UNLOCK TABLES');
    await at.pair.level();
    at.stream.start();
    await at.db.query("INSERT INTO t VALUES (5, 'e')");
    await at.stream.count(5);
    expect(at.rows().map(([, id]) => id)).toEqual([1, 2, 3, 4, 5]);
  });

  it('waits for a replica that runs and has yet to receive what was read', async () => {
    const network = await startProxy({ targetPort: at.primary.port });
    try {
      await at.pair.level();
      await at.pair.promote();
      await at.pair.follow(network.port);
      await at.db.query("INSERT INTO t VALUES (4, 'd')");
      await at.pair.level();
      network.stall();
      await at.db.query("INSERT INTO t VALUES (5, 'e')");
      await at.stream.count(5);
      await at.stream.stop();
      at.move();
      expect(await at.stream.outcome()).toMatchObject({
        ...{ code: 'source_unreachable', recourse: 'retry' },
        message: expect.stringContaining('yet to receive') as string,
      });
      network.resume();
      await at.pair.level();
      await at.db.query("INSERT INTO t VALUES (6, 'f')");
      at.stream.start();
      await at.stream.count(6);
      expect(at.rows().map(([, id]) => id)).toEqual([1, 2, 3, 4, 5, 6]);
    } finally {
      network.resume();
      await at.pair.promote();
      await network.stop();
    }
  });

  it.each(['has', 'lacks', 'is not known to have'])(
    'amid a large transaction of the primary, goes on only where the replica has it: one that %s it (Invariant 2)',
    async (has) => {
      await at.settled(3);
      const { stream, db, pair } = at;
      if (has !== 'has') await pair.promote();
      const values = Array.from({ length: 2500 }, (_, i) => `(${i + 10}, 'w')`).join(',');
      await db.query(`INSERT INTO t VALUES ${values}`);
      if (has === 'has') await pair.level();
      stream.start(null, () => {
        if (stream.events.length > 1000) throw new Error('killed');
      });
      expect(await stream.outcome()).toMatchObject({ message: 'killed' });
      const [part, { gtid }] = [stream.events.length, JSON.parse(stream.positions.get('#open')!) as { gtid: string }];
      expect(part).toBeLessThan(2503);
      await pair.promote();
      if (has.startsWith('is')) stream.positions.delete('#open');
      at.move();
      if (has === 'has') {
        await at.replica.query("INSERT INTO t VALUES (5, 'next')");
        await stream.seen('"next"');
        await stream.stop();
        // Its first part comes again under the same ids.
        expect([stream.events.length, new Set(stream.events.map(({ id }) => id)).size]).toEqual([part + 2501, 2504]);
      } else
        expect(await stream.outcome()).toMatchObject({
          code: 'source_identity_changed',
          message: expect.stringContaining(has === 'lacks' ? `lacks ${gtid}` : 'a part of a transaction') as string,
        });
    },
  );

  it('goes on where it has read nothing yet', async () => {
    await at.idle();
    at.stream.server = connectionOf(at.follower);
    at.stream.start();
    await at.db.query("INSERT INTO t VALUES (4, 'd')");
    await at.stream.count(1);
    expect(at.rows()).toEqual([['c', 4]]);
  });

  it('is looked for once, however often a look is given up', async () => {
    await at.settled(3);
    const sessions = sessionsOf(at.follower, type);
    const opened = jest.spyOn(sessions, 'open');
    const searched = (): number => opened.mock.calls.filter(([what]) => what === 'place').length;
    const look = (streamId: string, signal: AbortSignal): Promise<MySqlPosition> =>
      sessions.ask(async (session) => {
        const deps = { sessions, session, server: await serverOf(session), streamId, clock: systemClock, signal };
        return positionForLook(deps, decodePosition(at.stream.positions.get('')!));
      });
    const { signal } = new AbortController();
    const place = await look('str_one', signal);
    expect(place.server).not.toBe(at.placeOf().server);
    const once = searched();
    await expect(look('str_two', AbortSignal.abort())).rejects.toMatchObject({ code: 'source_unreachable' });
    expect(await look('str_two', signal)).toEqual(place);
    expect(await look('str_two', signal)).toEqual(place);
    expect(searched()).toBe(2 * once);
    sessions.close();
  });

  if (type === 'mysql')
    it('goes on at a replica that was made from a copy, whose log has nothing of before', async () => {
      await at.settled(3);
      await at.pair.copied();
      await at.db.query("INSERT INTO t VALUES (4, 'd')");
      await at.pair.level();
      const { gtids } = at.placeOf();
      at.move();
      await at.stream.count(4);
      await at.pair.promote();
      await at.replica.query("FLUSH BINARY LOGS; INSERT INTO t VALUES (5, 'e')");
      await at.stream.count(5);
      await at.stream.seen('"id":5');
      await at.stream.stop();
      expect(at.rows().map(([, id]) => id)).toEqual([1, 2, 3, 4, 5]);
      // What only the tables of the copy know of stays read, for the next server.
      const now = GtidSet.parse('mysql', at.placeOf().gtids)!;
      expect(GtidSet.parse('mysql', gtids)!.without(now).toString()).toBe('');
    });

  it('goes on at a replica that is promoted once its primary is killed', async () => {
    await at.db.query("INSERT INTO t VALUES (4, 'd')");
    await at.pair.level();
    await at.primary.kill();
    expect(await at.stream.outcome()).toMatchObject({ code: 'source_unreachable' });
    await at.pair.promote();
    await at.replica.query("INSERT INTO t VALUES (5, 'e')");
    at.move();
    await at.stream.count(5);
    expect(at.rows().map(([, id]) => id)).toEqual([1, 2, 3, 4, 5]);
    expect(at.stream.dropped).toBe(0);
  });
});
