import type { StreamError } from '@planasonix/core';
import { eventually, type Mysqld } from '@planasonix/testing';
import type { Connection } from 'mysql2/promise';
import { betweenPrepared, nonePrepared } from './prepared.js';
import { connectionOf, dial, FURTHER_LEGS, sessionsOf } from './trial/legs.js';
import { TrialStream } from './trial/trial-stream.js';

describe.each(FURTHER_LEGS)('a transaction of two phases at $name', ({ type, start }) => {
  let server: Mysqld;
  let db: Connection;

  beforeAll(async () => {
    server = await start();
    db = await dial(server);
    await db.query('CREATE DATABASE x; CREATE TABLE x.t (id INT PRIMARY KEY)');
  });
  afterAll(async () => {
    await db.end();
    await server.stop();
  });

  it.each(['initial', 'never'])(
    'that is prepared at the start is waited for, snapshot %s (trap 13)',
    async (snapshot) => {
      await db.query("DELETE FROM x.t; XA START 'one'; INSERT INTO x.t VALUES (1); XA END 'one'; XA PREPARE 'one'");
      const stream = new TrialStream(`str_${snapshot}`, { tables: ['x.t'], snapshot }, connectionOf(server), type);
      stream.start();
      const outcome = await stream.outcome();
      expect(outcome).toMatchObject({
        ...{ code: 'xa_prepared', recourse: 'retry' },
        message: expect.stringContaining("'one' (for ") as string,
        hint: expect.stringContaining("XA COMMIT 'one'; or XA ROLLBACK 'one';") as string,
      });
      await eventually('it is told for how long', async () => {
        stream.start();
        return /'one' \(for [1-9]\d* s at least\)/.test((await stream.outcome())!.message);
      });
      expect(await stream.check()).toContainEqual({
        ...{ code: 'xa_prepared', severity: 'warning' },
        message: expect.stringContaining("'one' (for ") as string,
        fix: expect.stringContaining("XA COMMIT 'one'; or XA ROLLBACK 'one';") as string,
      });
      // Nothing is told, so that the next try waits for longer.
      expect([stream.connected, stream.events]).toEqual([false, []]);
      await db.query("XA COMMIT 'one'");
      stream.start();
      await stream.begun();
      await db.query('INSERT INTO x.t VALUES (2)');
      await stream.seen('"id":2');
      await stream.stop();
      expect(stream.data().map(({ after }) => after?.['id'])).toEqual(snapshot === 'initial' ? [1, 2] : [2]);
    },
  );

  it('that wrote to a table before that was asked for is waited for, without rows too (trap 13)', async () => {
    await db.query('DELETE FROM x.t; CREATE TABLE x.u (id INT PRIMARY KEY)');
    const stream = new TrialStream('str_adds', { tables: ['x.t'], snapshot: 'never' }, connectionOf(server), type);
    stream.start();
    await stream.begun();
    const other = await dial(server);
    await other.query("XA START 'added'; INSERT INTO x.u VALUES (1); XA END 'added'; XA PREPARE 'added'");
    await db.query('INSERT INTO x.t VALUES (1)');
    await stream.seen('"id":1');
    await stream.stop();
    stream.config = { ...stream.config, tables: ['x.t', 'x.u'] };
    stream.start();
    expect(await stream.outcome()).toMatchObject({ code: 'xa_prepared', recourse: 'retry' });
    await other.query("XA COMMIT 'added'");
    stream.start();
    await stream.begun();
    await db.query('INSERT INTO x.u VALUES (2)');
    await stream.seen('"id":2');
    await stream.stop();
    // Once that is noted, what is prepared is behind the place, or of tables that nobody reads.
    await db.query('CREATE TABLE x.other (id INT PRIMARY KEY)');
    await other.query("XA START 'aside'; INSERT INTO x.other VALUES (1); XA END 'aside'; XA PREPARE 'aside'");
    stream.start();
    await db.query('INSERT INTO x.u VALUES (3)');
    await stream.seen('"id":3');
    await stream.stop();
    await other.query("XA ROLLBACK 'aside'; DROP TABLE x.u, x.other");
    await other.end();
  });

  it('that is prepared once rows alone are about to be read is waited for (trap 13)', async () => {
    await db.query('DELETE FROM x.t');
    const stream = new TrialStream('str_race', { tables: ['x.t'], snapshot: 'only' }, connectionOf(server), type);
    let batches = 0;
    stream.start(null, async () => {
      if (batches++ === 0) await db.query("XA START 'two'; INSERT INTO x.t VALUES (1); XA END 'two'; XA PREPARE 'two'");
    });
    expect(await stream.outcome()).toMatchObject({ code: 'xa_prepared' });
    expect(stream.events).toEqual([]);
    await db.query("XA ROLLBACK 'two'");
  });

  it('that is committed while the place is looked for leaves none', async () => {
    const sessions = sessionsOf(server, type);
    const taking = (take: () => Promise<unknown>) => sessions.ask((session) => betweenPrepared(session, take));
    const statements = "XA START 'three'; DELETE FROM x.t; XA END 'three'; XA PREPARE 'three'";
    await expect(taking(() => Promise.resolve('place'))).resolves.toBe('place');
    await expect(taking(() => db.query(`${statements}; XA COMMIT 'three'`))).rejects.toMatchObject({
      code: 'xa_prepared',
    });
    await expect(taking(() => db.query(statements))).rejects.toMatchObject({ code: 'xa_prepared' });
    await db.query("XA COMMIT 'three'");
    sessions.close();
  });

  it('is named as statements name it, whatever bytes that are, and not all of many', async () => {
    const names = ["X'01ff',X'02',7", "'a','b'", "'c'", "'d'"];
    const others = await Promise.all(names.map(() => dial(server)));
    for (const [i, name] of names.entries())
      await others[i]!.query(
        `XA START ${name}; INSERT INTO x.t VALUES (${100 + i}); XA END ${name}; XA PREPARE ${name}`,
      );
    const sessions = sessionsOf(server, type);
    const said = await sessions.ask(nonePrepared).catch((error: StreamError) => error);
    const { message } = said as StreamError;
    const told = message.split(': ')[1]!.split(/ \(for \d+ s at least\)(?:, )?/);
    expect(told.pop()).toBe(' and 1 more.');
    expect(names).toEqual(
      expect.arrayContaining(
        told.map((name) => name.replace(/X'[\dA-F]+'/g, (hex) => `X'${hex.slice(2).toLowerCase()}`)),
      ),
    );
    // What is said can be said to the server.
    for (const [i, other] of others.entries()) {
      await other.query(`XA ROLLBACK ${names[i]}`);
      await other.end();
    }
    await sessions.ask(nonePrepared);
    sessions.close();
  });

  if (type === 'mysql')
    it('may be asked for by few, which the preflight says', async () => {
      await db.query(`CREATE USER cdc@'%' IDENTIFIED BY 'secret-canary'; GRANT SELECT ON x.* TO cdc@'%';
        GRANT RELOAD, REPLICATION CLIENT, REPLICATION SLAVE ON *.* TO cdc@'%'`);
      const user = { ...connectionOf(server), user: 'cdc', password: 'secret-canary' };
      const checks = () => new TrialStream('str_asks', { tables: ['x.t'] }, user, type).check();
      const fix = "GRANT XA_RECOVER_ADMIN ON *.* TO 'cdc'@'%';";
      expect(await checks()).toContainEqual(
        expect.objectContaining({ code: 'xa_unsupported', severity: 'warning', fix }),
      );
      await db.query(fix);
      expect((await checks()).filter(({ severity }) => severity !== 'info')).toEqual([]);
    });
});
