import { systemClock } from '@planasonix/core';
import { eventually, startPostgres, startProxy, type Postgres, type Proxy } from '@planasonix/testing';
import { TrialStream } from './trial/trial-stream.js';

describe('a network that is dead', () => {
  let server: Postgres;
  let proxy: Proxy;
  beforeAll(async () => {
    server = await startPostgres({ version: 17 });
    proxy = await startProxy({ targetPort: server.port });
  });
  afterAll(async () => {
    await proxy?.stop();
    await server?.stop('immediate');
  });

  it('is noticed by the silence of 45 s, and by nothing earlier; over another one the stream goes on (trap 3)', async () => {
    const client = await server.connect();
    await client.query('CREATE TABLE t (id int PRIMARY KEY)');
    const one = new TrialStream('str_silence', { tables: ['public.t'], snapshot: 'never' }, server);
    one.moveTo({ ...server, port: proxy.port });
    let ahead = 0;
    let looks = 0;
    one.clock = { ...systemClock, monotonic: () => (looks++, systemClock.monotonic() + ahead) };
    one.start();
    await eventually('it reads', () => one.connected);
    await client.query('INSERT INTO t VALUES (1)');
    await eventually('a change has come', () => one.events.length === 1);
    proxy.stall();
    ahead += 30_000;
    const before = looks;
    await eventually('it has looked at its clock several times', () => looks > before + 5);
    expect(one.failure).toBeNull();
    ahead += 16_000;
    expect(await one.outcome()).toMatchObject({
      code: 'source_unreachable',
      message: 'The server has not answered for 45 s.',
    });
    await client.query('INSERT INTO t VALUES (2)');
    one.moveTo(server);
    one.start();
    await eventually('the next change has come', () => one.events.length === 2);
    await one.stop();
    await client.end();
  });
});
