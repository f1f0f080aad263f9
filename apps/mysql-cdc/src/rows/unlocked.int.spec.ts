import { eventually, type Mysqld } from '@planasonix/testing';
import type { Connection } from 'mysql2/promise';
import { connectionOf, dial, LEGS } from '../trial/legs.js';
import { TrialStream } from '../trial/trial-stream.js';

const GTIDS = { gtid_mode: 'ON', enforce_gtid_consistency: 'ON' };

describe.each(LEGS)('rows of $name for a user who may lock nothing', ({ name, type, start }) => {
  let server: Mysqld;
  let db: Connection;
  let stream: TrialStream;

  beforeAll(async () => {
    server = await start(name === 'MySQL' ? { config: GTIDS } : {});
    db = await dial(server);
    await db.query(`CREATE DATABASE u; CREATE TABLE u.t (id INT PRIMARY KEY, v INT);
      CREATE USER reader@'%' IDENTIFIED BY 'secret-canary';
      GRANT REPLICATION CLIENT, REPLICATION SLAVE ON *.* TO reader@'%'; GRANT SELECT ON u.* TO reader@'%'`);
  });
  afterEach(() => stream.stop());
  afterAll(async () => {
    await db.end();
    await server.stop();
  });

  const make = (id: string): TrialStream => {
    const connection = { ...connectionOf(server), user: 'reader', password: 'secret-canary' };
    return (stream = new TrialStream(id, { tables: ['u.t'] }, connection, type));
  };
  const table = async (): Promise<Map<string, string>> => {
    const [rows] = await db.query('SELECT id, v FROM u.t ORDER BY id');
    return new Map(
      (rows as { id: number; v: number }[]).map(({ id, v }) => [`u.t {"id":${id}}`, `{"id":${id},"v":${v}}`]),
    );
  };

  // MariaDB says the place of a snapshot itself.
  if (name === 'MySQL') {
    it('hold what is in the log and not visible while a replica is waited for (trap 13)', async () => {
      await db.query(`INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so';
        SET GLOBAL rpl_semi_sync_source_timeout = 600000, GLOBAL rpl_semi_sync_source_enabled = ON`);
      const writer = await dial(server);
      const held = writer.query('INSERT INTO u.t VALUES (1, 1)');
      try {
        await eventually('the commit is in the log', async () => {
          const [rows] = await db.query('SELECT @@GLOBAL.gtid_owned AS owned');
          return (rows as { owned: string }[])[0]!.owned.includes('#');
        });
        await eventually('and waits for a replica', async () => {
          const [rows] = await db.query('SHOW PROCESSLIST');
          return (rows as { State: string | null }[]).some(({ State }) => /semi-sync ACK/i.test(State ?? ''));
        });
        expect(await table()).toEqual(new Map());
        expect((await make('str_settled').check()).filter(({ severity }) => severity === 'error')).toEqual([]);
        await db.query("SET GLOBAL log_output = 'TABLE', GLOBAL general_log = ON");
        stream.start();
        await eventually('the stream waits for it', async () => {
          if (stream.failure !== null) throw stream.failure;
          const [rows] = await db.query(
            "SELECT COUNT(*) AS n FROM mysql.general_log WHERE user_host LIKE 'reader%' AND argument LIKE '%gtid_owned%'",
          );
          return (rows as { n: number }[]).some(({ n }) => n > 2);
        });
        expect(stream.events).toEqual([]);
      } finally {
        await db.query('SET GLOBAL rpl_semi_sync_source_enabled = OFF, GLOBAL general_log = OFF');
        await held;
        await writer.end();
      }
      await stream.begun();
      await db.query('INSERT INTO u.t VALUES (2, 2)');
      await stream.seen('"id":2,"v":2');
      expect(stream.fold()).toEqual(await table());
    });
  }

  it('with the changes after them fold to the table while writers write', async () => {
    await db.query('DELETE FROM u.t');
    await db.query(`INSERT INTO u.t VALUES ${Array.from({ length: 2000 }, (_, i) => `(${i}, 0)`).join(',')}`);
    const writers = await Promise.all([0, 1, 2].map(() => dial(server)));
    let writing = true;
    const writes = writers.map(async (writer, n) => {
      for (let i = n; writing; i += 3)
        await writer.query(
          `UPDATE u.t SET v = v + 1 WHERE id = ${(i * 7) % 2000}; REPLACE INTO u.t VALUES (${5000 + i}, 1); DELETE FROM u.t WHERE id = ${5000 + i - 9}`,
        );
    });
    make('str_loaded').start();
    await stream.begun();
    await stream.count(2600);
    writing = false;
    await Promise.all(writes);
    await db.query('INSERT INTO u.t VALUES (-1, 424242)');
    await stream.seen('"v":424242');
    const byKey = (rows: Map<string, string>) => [...rows].sort(([a], [b]) => (a < b ? -1 : 1));
    expect(byKey(stream.fold())).toEqual(byKey(await table()));
    await Promise.all(writers.map((writer) => writer.end()));
  });

  it('without a key are those of one place too', async () => {
    await db.query('CREATE TABLE u.heap (a INT); INSERT INTO u.heap VALUES (1), (1), (2)');
    stream = new TrialStream('str_heap', { tables: ['u.heap'] }, { ...connectionOf(server), user: 'reader', password: 'secret-canary' }, type); // prettier-ignore
    stream.start();
    await stream.begun();
    await db.query('INSERT INTO u.heap VALUES (1)');
    await stream.count(5);
    expect(stream.data().map(({ op, after }) => [op, after?.['a']])).toEqual([
      ['t', undefined],
      ...[1, 1, 2].map((a) => ['r', a]),
      ['c', 1],
    ]);
  });
});
