/** The scene of every part: a source with the table of the benchmark, Redis with fsync `always`, the product. */
import { spawn } from 'node:child_process';
import type { Client } from 'pg';
import { eventually, startPostgres, startRedis } from '@planasonix/testing';
import { start, makeConnection, makePipeline, makeStream } from '../shop.js';
import { startStack, type Stack } from '../stack.js';

type Postgres = Awaited<ReturnType<typeof startPostgres>>;
type RedisServer = Awaited<ReturnType<typeof startRedis>>;

export interface Scene {
  readonly postgres: Postgres;
  readonly redis: RedisServer;
  readonly stack: Stack;
  readonly source: Client;
  readonly pipelineId: string;
  /** Makes a running stream over `tables`. */
  stream(name: string, config: object): Promise<string>;
  /** Creates without starting. */
  create(name: string, config: object): Promise<string>;
  end(): Promise<void>;
}

/** Seven columns, text and jsonb among them: about 450 bytes a row, 875 with its event around it. */
export const TABLE = `(
  id bigint PRIMARY KEY, customer integer NOT NULL, email text NOT NULL, note text, amount numeric(12,2) NOT NULL,
  at timestamptz NOT NULL, doc jsonb NOT NULL)`;

/** Rows `from` to `to`, made by the server. */
export const rows = (table: string, from: string, to: string): string => `
  INSERT INTO ${table}
  SELECT i, (i % 100000)::int, 'customer' || i || '@example.com',
         repeat(md5(i::text), 3), (i % 1000000) / 100.0, '2026-01-01 00:00:00+00'::timestamptz + i * interval '1 second',
         jsonb_build_object('sku', md5((i * 7)::text), 'qty', i % 9, 'price', (i % 9999) / 100.0, 'tags', jsonb_build_array('new', 'sale', i % 5))
  FROM generate_series(${from}::bigint, ${to}::bigint) AS i`;

export async function openScene(): Promise<Scene> {
  const postgres = await startPostgres({
    config: {
      max_wal_size: '8GB',
      checkpoint_timeout: '1h',
      shared_buffers: '256MB',
      autovacuum: 'off',
    },
  });
  // Never rewritten: a rewrite would fall into some runs and not into others.
  const redis = await startRedis({ args: ['--auto-aof-rewrite-percentage', '0'] });
  const admin = await postgres.connect();
  await admin.query('CREATE DATABASE meta');
  await admin.query('CREATE DATABASE bench');
  await admin.end();
  const source = await postgres.connect('bench');
  const stack = await startStack({ databaseUrl: postgres.url('meta'), redisUrl: redis.url });
  const connectionId = await makeConnection(stack, postgres, 'bench');
  const pipelineId = await makePipeline(stack, 'bench', {
    type: 'redis_stream',
    retention: { max_entries: 100_000_000, on_full: 'block' },
  });
  const create = (name: string, config: object) => makeStream(stack, { name, connectionId, pipelineId, config });
  return {
    postgres,
    redis,
    stack,
    source,
    pipelineId,
    create,
    stream: async (name, config) => {
      const id = await create(name, config);
      await start(stack, id, 60_000);
      return id;
    },
    end: async () => {
      await source.end();
      await stack.stop();
      await redis.stop();
      await postgres.stop('immediate');
    },
  };
}

/** Pid of the walsender that serves a slot. */
export async function walsender(source: Client, slot: string): Promise<number[]> {
  const found = await source.query<{ active_pid: number | null }>(
    'SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1',
    [slot],
  );
  return found.rows.flatMap((row) => (row.active_pid === null ? [] : [row.active_pid]));
}

/** Runs a program to its end; its output goes nowhere. */
export function run(command: string, args: readonly string[], onPid?: (pid: number) => void): Promise<number> {
  return new Promise((resolve, reject) => {
    const began = performance.now();
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let stderr = '';
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.on('error', reject);
    if (child.pid !== undefined) onPid?.(child.pid);
    child.on('exit', (code) =>
      code === 0
        ? resolve((performance.now() - began) / 1000)
        : reject(new Error(`${command} ended with ${code}: ${stderr.trim()}`)),
    );
  });
}

/** The slot of a stream, once it has one. */
export async function slotOf(source: Client, streamId: string): Promise<string> {
  const name = `planasonix_${streamId.replace(/^str_/, '')}`;
  await eventually('the stream has its slot', async () => {
    const found = await source.query('SELECT FROM pg_replication_slots WHERE slot_name = $1', [name]);
    return found.rowCount === 1;
  });
  return name;
}

/** A figure of a stream that failed and came back is none. @throws Error with what the worker said */
export function undisturbed({ log }: Pick<Stack, 'log'>): void {
  const retried = log()
    .split('\n')
    .find((line) => line.includes('"stream retries"'));
  if (retried !== undefined) throw new Error(`A stream failed while it was measured: ${retried}`);
}
