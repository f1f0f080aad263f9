import { systemClock, Waker } from '@planasonix/core';
import type { Mysqld } from '@planasonix/testing';
import type { Connection } from 'mysql2/promise';
import { ARTIFICIAL, EVENT, HOUSEKEEPING } from '../decode/event-types.js';
import { logEnd, serverOf, type LogPlace } from '../server.js';
import type { Sessions } from '../sessions.js';
import { dial, FURTHER_LEGS, sessionsOf } from '../trial/legs.js';
import { LogFeed } from './log-feed.js';

describe.each(FURTHER_LEGS)('the log of $name', ({ type, start }) => {
  let server: Mysqld;
  let db: Connection;
  let sessions: Sessions;

  beforeAll(async () => {
    server = await start();
    db = await dial(server);
    sessions = sessionsOf(server, type);
  });
  afterAll(async () => {
    sessions.close();
    await db.end();
    await server.stop();
  });

  /** Events from a place to the end, without what the server makes for the occasion or writes when it finds time. */
  const read = async (place: LogPlace, farthest?: number): Promise<string[]> => {
    const waker = new Waker();
    const session = await sessions.open('log');
    const feed = new LogFeed({ session, host: '', clock: systemClock, waker, ...(farthest && { farthest }) });
    const found: string[] = [];
    try {
      await feed.open({ serverId: 77, ...place, follow: false });
      while (!feed.finished) {
        const event = feed.next();
        if (event === null) await waker.wait();
        else if (
          event[4] !== EVENT.FORMAT &&
          !HOUSEKEEPING.has(event[4]!) &&
          (event.readUInt16LE(17) & ARTIFICIAL) === 0
        )
          found.push(event.toString('base64'));
      }
    } finally {
      feed.close();
      sessions.end(session);
    }
    return found;
  };

  it('is the same from a place that can not be asked for as from one that can', async () => {
    await db.query('CREATE DATABASE f; CREATE TABLE f.t (id INT PRIMARY KEY); INSERT INTO f.t VALUES (1), (2)');
    const place = await sessions.ask(async (session) => logEnd(session, await serverOf(session)));
    await db.query('INSERT INTO f.t VALUES (3); FLUSH BINARY LOGS; INSERT INTO f.t VALUES (4)');
    const direct = await read(place);
    expect(direct.length).toBeGreaterThan(8);
    expect(await read(place, place.pos - 1)).toEqual(direct);
    await expect(read({ ...place, pos: place.pos - 1 }, 4)).rejects.toMatchObject({ code: 'source_identity_changed' });
  });
});
