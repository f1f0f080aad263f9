import type { Mysqld } from '@planasonix/testing';
import type { Connection } from 'mysql2/promise';
import { connectionOf, dial, LEGS } from './trial/legs.js';
import { TrialStream } from './trial/trial-stream.js';

describe.each(LEGS)('settings of $name that a preflight looks at', ({ type, start }) => {
  let server: Mysqld;
  let db: Connection;

  beforeAll(async () => {
    const noGtids = { gtid_mode: 'OFF', enforce_gtid_consistency: 'OFF' };
    const zone = { default_time_zone: '+05:30' };
    const cascades = { innodb_native_foreign_keys: 'ON' };
    server = await start({ config: { ...(type === 'mysql' ? { ...noGtids, ...cascades } : {}), ...zone } });
    db = await dial(server);
    await db.query(
      'CREATE DATABASE p; CREATE TABLE p.t (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES p.t (id) ON DELETE CASCADE)',
    );
  });
  afterAll(async () => {
    await db.end();
    await server.stop();
  });

  const found = async (code: string) => {
    const checks = await new TrialStream('str_p', { tables: ['p.t'] }, connectionOf(server), type).check();
    return checks.find((one) => one.code === code)!;
  };

  it('are mended by what it says: for how long the log is kept', async () => {
    await db.query('SET GLOBAL binlog_expire_logs_seconds = 3600');
    const { severity, fix } = await found('retention');
    expect(severity).toBe('warning');
    await db.query(fix!);
    expect(await found('retention')).toMatchObject({ severity: 'info', fix: null });
  });

  it('are mended by what it says: GTIDs', async () => {
    const { fix } = await found('gtid_mode');
    expect(fix === null).toBe(type === 'mariadb');
    if (fix !== null) await db.query(fix);
    const message = 'Transactions have GTIDs.';
    expect(await found('gtid_mode')).toMatchObject({ severity: 'info', message, fix: null });
  });

  it('are named: that cascades are left to InnoDB, which logs none', async () => {
    expect(await found('cascades')).toMatchObject({ severity: 'warning' });
    const stream = new TrialStream('str_c', { tables: ['p.t'], snapshot: 'never' }, connectionOf(server), type);
    stream.start();
    await stream.begun();
    await db.query(
      'INSERT INTO p.t VALUES (1, NULL), (2, 1); DELETE FROM p.t WHERE id = 1; INSERT INTO p.t VALUES (3, NULL)',
    );
    await stream.seen('"id":3');
    await stream.stop();
    expect(stream.data().map(({ op, before, after }) => [op, (after ?? before)?.['id']])).toEqual([
      ['c', 1],
      ['c', 2],
      ['d', 1],
      ['c', 3],
    ]);
  });

  it('are named: the time zone', async () => {
    const message = expect.stringContaining('+05:30') as string;
    expect(await found('time_zone')).toMatchObject({ severity: 'info', message });
  });
});
