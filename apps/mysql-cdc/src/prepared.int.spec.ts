import type { Mysqld } from '@planasonix/testing';
import type { Connection } from 'mysql2/promise';
import { connectionOf, dial, LEGS } from './trial/legs.js';
import { TrialStream } from './trial/trial-stream.js';

jest.setTimeout(90_000);

describe.each(LEGS)('a transaction of two phases at $name', ({ type, start }) => {
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
      await db.query("XA COMMIT 'one'");
      expect(outcome).toMatchObject({ code: 'snapshot_failed' });
      expect(stream.events).toEqual([]);
      stream.start();
      await stream.begun();
      await db.query('INSERT INTO x.t VALUES (2)');
      await stream.seen('"id":2');
      await stream.stop();
      expect(stream.data().map(({ after }) => after?.['id'])).toEqual(snapshot === 'initial' ? [1, 2] : [2]);
    },
  );

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
