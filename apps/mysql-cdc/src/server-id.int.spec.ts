import type { Mysqld } from '@planasonix/testing';
import type { Connection } from 'mysql2/promise';
import { connectionOf, dial, LEGS } from './trial/legs.js';
import { TrialStream } from './trial/trial-stream.js';

describe.each(LEGS)('the number of a reader at $name', ({ type, start }) => {
  let server: Mysqld;
  let db: Connection;
  let first: TrialStream | null = null;

  beforeAll(async () => {
    server = await start();
    db = await dial(server);
    await db.query('CREATE DATABASE c; CREATE TABLE c.t (id INT PRIMARY KEY, v INT)');
  });
  afterEach(async () => {
    await first?.stop();
    first = null;
  });
  afterAll(async () => {
    await db.end();
    await server.stop();
  });

  const stream = (id: string, config: object, user: object = {}) =>
    new TrialStream(id, { tables: ['c.t'], ...config }, { ...connectionOf(server), ...user }, type);
  /** A stream that reads as number 77. */
  const reading = async (): Promise<void> => {
    first = stream('str_first', { server_id: 77, snapshot: 'never' });
    first.start();
    await first.begun();
    await db.query('REPLACE INTO c.t VALUES (77, RAND() * 1000000)');
    await first.count(1);
  };
  const taken = { code: 'config_invalid', severity: 'error', message: expect.stringContaining('77') as string };

  it('is none that the server or a replica has, and a free one is taken by itself (trap 21)', async () => {
    expect(await stream('str_own', { server_id: 1 }).check()).toContainEqual(
      expect.objectContaining({ code: 'config_invalid', severity: 'error' }),
    );
    await reading();
    const second = stream('str_other', { server_id: 77 });
    expect(await second.check()).toContainEqual(expect.objectContaining(taken));
    second.start();
    expect(await second.outcome()).toMatchObject({ code: taken.code, message: taken.message });
  });

  if (type === 'mariadb')
    it.each(['auto', 77] as const)(
      '(%s) is not held against replicas that the user may not list, who is told so (trap 21)',
      async (server_id) => {
        await db.query(`DROP USER IF EXISTS few@'%'; CREATE USER few@'%' IDENTIFIED BY 'secret-canary';
        GRANT SELECT, BINLOG MONITOR, REPLICATION SLAVE, SLAVE MONITOR ON *.* TO few@'%'`);
        await reading();
        const other = stream('str_other', { server_id }, { user: 'few', password: 'secret-canary' });
        const fix = "GRANT REPLICATION MASTER ADMIN ON *.* TO 'few'@'%';";
        const bad = async () =>
          (await other.check()).filter(({ severity, code }) => severity !== 'info' && code !== 'tls');
        expect(await bad()).toEqual([expect.objectContaining({ code: 'server_id', severity: 'warning', fix })]);
        await db.query(fix);
        expect(await bad()).toEqual(server_id === 'auto' ? [] : [expect.objectContaining(taken)]);
      },
    );
});
