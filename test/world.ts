/** Servers and product for one system spec: started once, ended with it. */
import type { Redis } from 'ioredis';
import type { Client } from 'pg';
import { startPostgres, startRedis } from '@planasonix/testing';
import { makeConnection, makePipeline } from './shop.js';
import { startStack, type Stack } from './stack.js';

export interface World {
  readonly postgres: Awaited<ReturnType<typeof startPostgres>>;
  /** The source lives in a server of its own, so that a test can take either down. */
  readonly sourceServer: Awaited<ReturnType<typeof startPostgres>>;
  readonly redisServer: Awaited<ReturnType<typeof startRedis>>;
  readonly redis: Redis;
  readonly source: Client;
  stack: Stack;
  readonly connectionId: string;
  readonly pipelineId: string;
  readonly env: Readonly<Record<string, string>>;
  /** Another session at the source. */
  session(): Promise<Client>;
  end(): Promise<void>;
}

/** @param given `CONNECTORS` is postgres-cdc alone by itself: what else ran would only be waited for. */
export async function makeWorld(given: Readonly<Record<string, string>> = {}): Promise<World> {
  const env = { CONNECTORS: 'postgres-cdc', ...given };
  const [postgres, sourceServer, redisServer] = await Promise.all([
    startPostgres(),
    startPostgres({ config: { wal_sender_timeout: '10s' } }),
    startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always', '--maxmemory-policy', 'noeviction'] }),
  ]);
  const meta = await postgres.connect();
  await meta.query('CREATE DATABASE meta');
  await meta.end();
  const admin = await sourceServer.connect();
  await admin.query('CREATE DATABASE src');
  await admin.end();
  const source = await sourceServer.connect('src');
  const stack = await startStack({ databaseUrl: postgres.url('meta'), redisUrl: redisServer.url, env });
  const sessions: Client[] = [];
  const world: World = {
    postgres,
    sourceServer,
    redisServer,
    redis: redisServer.client(),
    source,
    stack,
    connectionId: await makeConnection(stack, sourceServer, 'src'),
    pipelineId: await makePipeline(stack),
    env,
    session: async () => {
      const session = await sourceServer.connect('src');
      sessions.push(session);
      return session;
    },
    end: async () => {
      await world.stack.stop();
      await Promise.all([...sessions, source].map((session) => session.end().catch(() => {})));
      await redisServer.stop();
      await Promise.all([postgres.stop('immediate'), sourceServer.stop('immediate')]);
    },
  };
  return world;
}
