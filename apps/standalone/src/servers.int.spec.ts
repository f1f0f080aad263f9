import path from 'node:path';
import pg from 'pg';
import { eventually, guardFolder, tempDir } from '@planasonix/testing';
import { readLaunchEnv } from './env.js';
import { openServers } from './servers.js';
import { openState } from './state.js';

const quiet = () => undefined;
const ask = async (url: string, sql: string) => {
  const client = new pg.Client({ connectionString: url });
  client.on('error', quiet);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
};

describe('the launcher’s own servers', () => {
  it('keep their data and ports, are shared by a second launcher, and come back when they end', async () => {
    const state = openState(tempDir('servers'));
    // Where root may not run Postgres below a 0700 folder, the data lies elsewhere and is linked.
    const data = state.postgresDir();
    if (!data.startsWith(state.dir)) guardFolder(path.dirname(data));
    const env = readLaunchEnv({});
    const first = await openServers(state, env, quiet);
    await ask(first.databaseUrl, 'CREATE TABLE kept AS SELECT 1 AS v');

    const second = await openServers(state, env, quiet);
    expect(second.databaseUrl).toBe(first.databaseUrl);
    expect(second.redisUrl).toBe(first.redisUrl);

    // The one that started them goes: the one that shares them takes over.
    await first.stop();
    await eventually('Postgres is back', () => ask(second.databaseUrl, 'SELECT v FROM kept').catch(() => null));
    await second.stop();

    const third = await openServers(state, env, quiet);
    expect(third.databaseUrl).toBe(first.databaseUrl);
    expect(await ask(third.databaseUrl, 'SELECT v FROM kept')).toEqual([{ v: 1 }]);
    await third.stop();
  });

  it('are not started where the user names his own', async () => {
    const given = { DATABASE_URL: 'postgresql://u@127.0.0.1:1/x', REDIS_URL: 'redis://127.0.0.1:1' };
    const servers = await openServers(openState(tempDir('servers')), readLaunchEnv(given), quiet);
    expect(servers).toMatchObject({ databaseUrl: given.DATABASE_URL, redisUrl: given.REDIS_URL });
    await servers.stop();
  });
});
