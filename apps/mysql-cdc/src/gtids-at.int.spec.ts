import { systemClock } from '@planasonix/core';
import type { Mysqld } from '@planasonix/testing';
import type { Connection } from 'mysql2/promise';
import { GtidSet } from './gtid-set.js';
import { gtidsAt } from './gtids-at.js';
import { logEnd, serverOf, type LogPlace } from './server.js';
import type { Sessions } from './sessions.js';
import { dial, LEGS, sessionsOf } from './trial/legs.js';

jest.setTimeout(60_000);

describe.each(LEGS)('what was committed before a place of the log of $name', ({ type, start }) => {
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

  const at = (place: LogPlace): Promise<string | null> =>
    sessions.ask(async (session) =>
      gtidsAt({ sessions, session, server: await serverOf(session), streamId: 'str_1', clock: systemClock }, place),
    );
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

  if (type === 'mysql')
    it('is not known where transactions have no GTIDs', async () => {
      const place = await end();
      expect(await at(place)).not.toBeNull();
      await db.query('SET GLOBAL gtid_mode = ON_PERMISSIVE');
      expect(await at(place)).toBeNull();
      await db.query('SET GLOBAL gtid_mode = ON');
    });
});
