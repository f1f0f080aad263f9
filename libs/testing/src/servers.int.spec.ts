import { existsSync } from 'node:fs';
import { alive, eventually, freePort, startPostgres, startProxy, startRedis, type Postgres } from './index.js';

describe('startPostgres', () => {
  let server: Postgres;
  beforeAll(async () => {
    server = await startPostgres({ config: { work_mem: '5MB' } });
  });
  afterAll(() => server.stop());

  it('gives a server that can do logical replication, with the settings asked for', async () => {
    const client = await server.connect();
    const setting = async (name: string) => (await client.query(`show ${name}`)).rows[0][name];
    expect(await setting('wal_level')).toBe('logical');
    expect(await setting('work_mem')).toBe('5MB');
    expect(await setting('server_encoding')).toBe('UTF8');
    expect(await setting('server_version')).toMatch(/^17\./);
  });

  it('comes back with its data on the same port after a restart and after a crash', async () => {
    const { port } = server;
    await (await server.connect()).query('create table kept(v int); insert into kept values (1)');
    await server.restart('immediate');
    await server.kill();
    await server.start();
    expect(server.port).toBe(port);
    expect((await (await server.connect()).query('select v from kept')).rows).toEqual([{ v: 1 }]);
  });

  it.each([14, 15, 16, 17, 18] as const)(
    'runs version %i, each one a server of its own, and leaves neither process nor folder',
    async (version) => {
      const others = await Promise.all([startPostgres({ version }), startPostgres({ version })]);
      const [other, beside] = others;
      const { rows } = await (await other.connect()).query('show server_version_num');
      expect(Math.floor(Number(rows[0].server_version_num) / 10_000)).toBe(version);
      const identities = [server, ...others].map(async (one) => {
        const known = await (await one.connect()).query('SELECT system_identifier AS id FROM pg_control_system()');
        return known.rows[0].id as string;
      });
      expect(new Set(await Promise.all(identities)).size).toBe(3);
      await beside.stop();
      const { pid, dir } = other;
      await other.stop();
      expect(alive(pid)).toBe(false);
      expect(existsSync(dir)).toBe(false);
    },
    60_000,
  );

  it('can be cut off by a proxy', async () => {
    const proxy = await startProxy({ targetPort: server.port });
    const { Client } = await import('pg');
    const client = new Client({
      host: proxy.host,
      port: proxy.port,
      user: 'postgres',
      password: server.password,
      database: 'postgres',
    });
    const lost = new Promise<Error>((resolve) => client.on('error', resolve));
    await client.connect();
    proxy.stall();
    let answered = false;
    const query = client.query('select 1').then(() => (answered = true));
    await server.connect().then((direct) => direct.query('select pg_sleep(0.1)'));
    expect(answered).toBe(false);
    proxy.resume();
    await query;
    proxy.cut();
    expect((await lost).message).toMatch(/terminated|ECONNRESET/);
    await eventually('no connection is left', () => proxy.connections === 0);
    await proxy.stop();
  });
});

describe('startRedis', () => {
  it('keeps what it confirmed when it is killed', async () => {
    const server = await startRedis();
    const client = server.client();
    await client.set('k', 'v');
    await server.kill();
    await server.start();
    expect(await server.client().get('k')).toBe('v');
    const { pid, dir } = server;
    await server.stop();
    expect(alive(pid)).toBe(false);
    expect(existsSync(dir)).toBe(false);
  });
});

describe('freePort', () => {
  it('is free, and outside the range of outgoing connections', async () => {
    const port = await freePort();
    expect(port).toBeGreaterThanOrEqual(15_000);
    expect(port).toBeLessThan(32_000);
  });

  it('is given once: a cluster takes many before it listens on the first', async () => {
    // So many that two alike among them would be all but certain.
    const ports = await Promise.all(Array.from({ length: 1_000 }, freePort));
    expect(new Set(ports).size).toBe(ports.length);
  });
});
