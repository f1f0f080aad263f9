import { systemClock } from '@planasonix/core';
import { eventually, type Mysqld } from '@planasonix/testing';
import type { Connection } from 'mysql2/promise';
import { GtidSet } from './gtid-set.js';
import { gtidsAt, type Before } from './gtids-at.js';
import { logEnd, logFiles, serverOf, type LogPlace } from './server.js';
import type { Sessions } from './sessions.js';
import { dial, FURTHER_LEGS, sessionsOf } from './trial/legs.js';

describe.each(FURTHER_LEGS)('what was committed before a place of the log of $name', ({ type, start }) => {
  let server: Mysqld;
  let db: Connection;
  let sessions: Sessions;

  beforeAll(async () => {
    server = await start();
    db = await dial(server);
    await db.query('CREATE DATABASE g; CREATE TABLE g.t (id INT PRIMARY KEY)');
    sessions = sessionsOf(server, type);
  });
  afterAll(async () => {
    sessions.close();
    await db.end();
    await server.stop();
  });

  const before = (place: LogPlace): Promise<Before> =>
    sessions.ask(async (session) =>
      gtidsAt({ sessions, session, server: await serverOf(session), clock: systemClock }, place),
    );
  const at = async (place: LogPlace): Promise<string | null> => (await before(place)).gtids;
  const end = (): Promise<LogPlace> => sessions.ask(async (session) => logEnd(session, await serverOf(session)));
  const executed = async (): Promise<string> => {
    const name = type === 'mysql' ? 'gtid_executed' : 'gtid_binlog_state';
    const [[row]] = (await db.query(`SELECT @@GLOBAL.${name} AS s`)) as unknown as [[{ s: string }]];
    return GtidSet.parse(type, row.s)!.toString();
  };

  it('is told of the end, and of a place that the log has gone on from since, over files', async () => {
    await db.query('INSERT INTO g.t VALUES (1)');
    const [place, then] = [await end(), await executed()];
    expect(await at(place)).toBe(then);
    await db.query('INSERT INTO g.t VALUES (2); FLUSH BINARY LOGS; INSERT INTO g.t VALUES (3)');
    expect(await executed()).not.toBe(then);
    expect(await at(place)).toBe(then);
  });

  if (type === 'mariadb')
    it('holds the last transaction and when its last statement began, as long as the log has it', async () => {
      const begin = await end();
      await db.query("USE g; START TRANSACTION; SET timestamp = 1700000000; INSERT INTO t VALUES (10); SET timestamp = 1700000009; INSERT INTO t VALUES (11); SET timestamp = 1700000020; COMMIT; SET timestamp = DEFAULT"); // prettier-ignore
      const [place, gtids] = [await end(), await executed()];
      const known = { gtids, gtid: gtids, at: 1_700_000_009, last: begin };
      expect(await before(place)).toEqual(known);
      const next = await end();
      await db.query('SET SESSION gtid_domain_id = 5, timestamp = 1700000030; INSERT INTO t VALUES (12)');
      const two = await end();
      await db.query('SET SESSION gtid_domain_id = 0, timestamp = DEFAULT');
      await db.query('FLUSH BINARY LOGS; INSERT INTO t VALUES (13)');
      expect(await before(place)).toEqual(known);
      // The last one is that of the log, and not the one with the highest number.
      const ofDomain5 = { gtid: '5-1-1', at: 1_700_000_030, last: next };
      expect(await before(two)).toMatchObject(ofDomain5);
      await db.query('FLUSH BINARY LOGS');
      const third = (await sessions.ask(logFiles)).at(-2)!.file;
      expect(await before({ file: third, pos: 4 })).toMatchObject(ofDomain5);
      const [last] = await sessions.ask(logFiles).then((files) => files.slice(-1));
      await eventually('the log is purged', async () => {
        await db.query(`PURGE BINARY LOGS TO '${last!.file}'`);
        return (await sessions.ask(logFiles)).length === 1;
      });
      const now = await end();
      await db.query('FLUSH BINARY LOGS');
      await eventually('all of it', async () => {
        await db.query(`PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY`);
        return (await sessions.ask(logFiles)).length === 1;
      });
      expect(now.file).not.toBe((await end()).file);
      expect(await before(await end())).toMatchObject({ gtid: null, at: null });
    });

  if (type === 'mysql')
    it('is not known where transactions have no GTIDs', async () => {
      const place = await end();
      expect(await at(place)).not.toBeNull();
      await db.query('SET GLOBAL gtid_mode = ON_PERMISSIVE');
      expect(await at(place)).toBeNull();
      await db.query('SET GLOBAL gtid_mode = ON');
    });
});
