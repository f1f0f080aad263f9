import { truncateSync } from 'node:fs';
import { join } from 'node:path';
import { eventually, type Mysqld } from '@planasonix/testing';
import type { Connection } from 'mysql2/promise';
import { connectionOf, dial, FURTHER_LEGS } from './trial/legs.js';
import { TrialStream } from './trial/trial-stream.js';

describe.each(FURTHER_LEGS)('the place in the log of $name', ({ type, start }) => {
  let server: Mysqld;
  let other: Mysqld;
  let db: Connection;
  let twin: Connection;
  let stream: TrialStream;
  let n = 0;

  beforeAll(async () => {
    [server, other] = await Promise.all([start(), start()]);
    [db, twin] = await Promise.all([dial(server), dial(other)]);
  });
  beforeEach(async () => {
    n += 1;
    // The same on both: what tells them apart is not in the names of their files.
    for (const one of [db, twin]) {
      await one.query(type === 'mariadb' ? 'RESET MASTER' : 'RESET BINARY LOGS AND GTIDS');
      await one.query(`CREATE DATABASE d${n}; USE d${n}; CREATE TABLE t (id INT PRIMARY KEY, v CHAR(9))`);
    }
    stream = new TrialStream(`str_${n}`, { tables: [`d${n}.t`], snapshot: 'never' }, connectionOf(server), type);
    stream.start();
    await stream.begun();
    await db.query("INSERT INTO t VALUES (1, 'here')");
    await stream.count(1);
    await stream.seen('here');
    await stream.stop();
  });
  afterEach(() => stream.stop());
  afterAll(async () => {
    await Promise.all([db.end(), twin.end()]);
    await Promise.all([server.stop(), other.stop()]);
  });

  /** A server keeps a file for as long as a reader that is gone may still need it. */
  const purged = (first: string): Promise<unknown> =>
    eventually(`the log begins with ${first}`, async () => {
      await db.query(`PURGE BINARY LOGS TO '${first}'`);
      const [files] = await db.query('SHOW BINARY LOGS');
      return (files as { Log_name: string }[])[0]?.Log_name === first;
    });

  it('is known as soon as it says that it reads (Invariant 2)', async () => {
    const cut = new TrialStream(`str_cut_${n}`, { tables: [`d${n}.t`], snapshot: 'never' }, connectionOf(server), type);
    cut.start(null, () => {
      if (cut.connected) throw new Error('killed');
    });
    expect(await cut.outcome()).toMatchObject({ message: 'killed' });
    await db.query("INSERT INTO t VALUES (2, 'then')");
    cut.start();
    await cut.seen('then');
    await cut.stop();
  });

  it('is kept while the log is there, over files that come and go', async () => {
    await db.query("FLUSH BINARY LOGS; INSERT INTO t VALUES (2, 'x'); FLUSH BINARY LOGS");
    stream.start();
    await stream.count(2);
    await eventually(
      'the place is in the last file',
      () => stream.positions.get('')?.includes('binlog.000003') === true,
    );
    await stream.stop();
    await purged('binlog.000003');
    await db.query("INSERT INTO t VALUES (3, 'x')");
    stream.start();
    await stream.count(3);
    expect(stream.dropped).toBe(0);
  });

  it('is log_purged once its file was thrown away, also for a stream that rests (trap 21)', async () => {
    await db.query("FLUSH BINARY LOGS; INSERT INTO t VALUES (2, 'gone'); FLUSH BINARY LOGS");
    await purged('binlog.000003');
    await expect(stream.lag()).rejects.toMatchObject({ code: 'log_purged' });
    stream.start();
    expect(await stream.outcome()).toMatchObject({ code: 'log_purged', recourse: 'lost' });
    expect(stream.events).toHaveLength(1);
    // Whoever asks for all rows anew gets them, also where the stream was to read none.
    expect(stream.config).toMatchObject({ snapshot: 'never' });
    let batches = 0;
    stream.start('resnapshot', () => {
      if (++batches === 4) throw new Error('killed');
    });
    expect(String(await stream.outcome())).toContain('killed');
    expect([...stream.positions.keys()].sort()).toEqual(['', '#asked']);
    stream.start();
    await stream.begun();
    expect(stream.data().map(({ op, after }) => [op, after?.['id']])).toEqual([
      ['c', 1],
      ['t', undefined],
      ['r', 1],
      ['r', 2],
    ]);
  });

  it('is another one after the log was reset', async () => {
    await db.query(type === 'mariadb' ? 'RESET MASTER' : 'RESET BINARY LOGS AND GTIDS');
    await db.query("INSERT INTO t VALUES (2, 'x')");
    stream.start();
    expect(await stream.outcome()).toMatchObject({ code: 'source_identity_changed' });
    expect(stream.events).toHaveLength(1);
  });

  it('is no place of another server, however alike their logs are (trap 20a)', async () => {
    // As long as ours and longer, with transactions that begin and end where ours do.
    await twin.query("INSERT INTO t VALUES (1, 'ther')");
    await twin.query("INSERT INTO t VALUES (2, 'fore'); INSERT INTO t VALUES (3, 'fore')");
    stream.server = connectionOf(other);
    stream.start();
    expect(await stream.outcome()).toMatchObject({ code: 'source_identity_changed', recourse: 'lost' });
    expect(stream.events).toHaveLength(1);
    stream.start('skip');
    await stream.begun();
    await twin.query("INSERT INTO t VALUES (4, 'new')");
    await stream.count(2);
    expect(stream.data().map(({ after }) => after?.['id'])).toEqual([1, 4]);
  });

  it('is lost where a crash cut off a transaction of which a part was read (Invariant 2)', async () => {
    const values = Array.from({ length: 2500 }, (_, i) => `(${i + 10}, 'w')`).join(',');
    await db.query(`INSERT INTO t VALUES ${values}`);
    stream.start(null, () => {
      if (stream.events.length > 1000) throw new Error('killed');
    });
    expect(await stream.outcome()).toMatchObject({ message: 'killed' });
    const { file, pos } = JSON.parse(stream.positions.get('#open')!) as { file: string; pos: number };
    await server.kill();
    truncateSync(join(server.dir, 'data', file), pos);
    await server.start();
    db = await dial(server);
    await db.query(`USE d${n}; INSERT INTO t VALUES (9, 'after')`);
    stream.start();
    expect(await stream.outcome()).toMatchObject({
      code: 'source_identity_changed',
      message: expect.stringContaining('holds a part') as string,
    });
  });
});
