import { preflightServer, replicatedCheck } from './preflight-server.js';
import type { Server } from './server.js';
import type { Session } from './session.js';

const MARIADB: Server = {
  ...{ flavor: 'mariadb', version: '10.5.29-MariaDB', number: 100_529, identity: 'x', serverId: 1, foldsCase: false },
};

/** A server that has these settings and no others. */
const having = (settings: Readonly<Record<string, string>>): Session =>
  ({
    query: (sql: string) => {
      const [, name = ''] = /^SHOW GLOBAL VARIABLES LIKE '(.*)'$/.exec(sql) ?? [];
      const value = settings[name.replaceAll('\\_', '_')];
      return Promise.resolve(value === undefined ? [] : [{ Value: value }]);
    },
  }) as unknown as Session;

const found = async (settings: Readonly<Record<string, string>>, code: string) =>
  (await preflightServer(having(settings), MARIADB)).find((one) => one.code === code);

describe('what a preflight says of a server', () => {
  it('is mended by a setting that it knows', async () => {
    const seconds = { binlog_expire_logs_seconds: '3600', expire_logs_days: '0.041667' };
    expect((await found(seconds, 'retention'))?.fix).toBe('SET GLOBAL binlog_expire_logs_seconds = 604800;');
    const days = await found({ expire_logs_days: '0.5' }, 'retention');
    expect([days?.severity, days?.fix]).toEqual(['warning', 'SET GLOBAL expire_logs_days = 7;']);
  });

  it('names its time zone', async () => {
    const message = expect.stringContaining('SYSTEM (CET)') as string;
    expect(await found({ time_zone: 'SYSTEM', system_time_zone: 'CET' }, 'time_zone')).toMatchObject({ message });
  });

  it('is that a node of a cluster logs what comes from the others (trap 19)', async () => {
    const check = (log_slave_updates: string) =>
      replicatedCheck(having({ log_slave_updates, wsrep_on: 'ON' }), MARIADB);
    expect(await check('OFF')).toMatchObject({
      ...{ code: 'binlog_format_unsupported', severity: 'error' },
      fix: expect.stringContaining('log_slave_updates = ON') as string,
    });
    expect(await check('ON')).toMatchObject({ severity: 'info' });
  });
});
