/** References: the fastest that Postgres itself can hand the same bytes to nowhere. */
import { spawn, spawnSync } from 'node:child_process';
import { Client } from 'pg';
import { cpuSeconds } from './measure.js';
import { run } from './scene.js';

type Postgres = { readonly host: string; readonly port: number; url(database?: string): string };

const onPath = (program: string): boolean => spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;

export interface ReferenceRun {
  readonly what: string;
  readonly seconds: number;
  /** CPU seconds of the client, where it could be seen. */
  readonly clientCpu: number | null;
}

const readingArgs = (url: string, slot: string, publication: string): string[] => [
  ...['-d', url, '--slot', slot, '--start', '-f', '/dev/null', '--no-loop'],
  ...['-o', 'proto_version=1', '-o', `publication_names=${publication}`],
];

/** Readers of slots, each a process of its own, until `end`. `null`: pg_recvlogical is not installed. */
export function readSlots(of: readonly { url: string; slot: string; publication: string }[]): (() => void) | null {
  if (!onPath('pg_recvlogical')) return null;
  const readers = of.map(({ url, slot, publication }) =>
    spawn('pg_recvlogical', readingArgs(url, slot, publication), { stdio: 'ignore' }),
  );
  return () => readers.forEach((reader) => reader.kill());
}

/** Reads a slot from its beginning up to `endLsn` and throws everything away. */
export async function readSlot(
  postgres: Postgres,
  slot: string,
  publication: string,
  endLsn: string,
): Promise<ReferenceRun> {
  if (!onPath('pg_recvlogical')) return rawSlotRead(postgres, slot, publication, endLsn);
  let cpu = 0;
  let watch: NodeJS.Timeout | undefined;
  const seconds = await run(
    'pg_recvlogical',
    [...readingArgs(postgres.url('bench'), slot, publication), '--endpos', endLsn],
    (pid) => (watch = setInterval(() => (cpu = Math.max(cpu, cpuSeconds(pid))), 20)),
  ).finally(() => clearInterval(watch));
  return { what: 'pg_recvlogical to nowhere', seconds, clientCpu: cpu };
}

const lsnValue = (text: string): bigint => {
  const [high = '0', low = '0'] = text.split('/');
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
};

/** The same with the copy stream of the `pg` client, where pg_recvlogical is not installed. */
async function rawSlotRead(
  postgres: Postgres,
  slot: string,
  publication: string,
  endLsn: string,
): Promise<ReferenceRun> {
  const client = new Client({
    connectionString: `${postgres.url('bench')}?replication=database`,
    ...{ replication: 'database' },
  });
  await client.connect();
  const end = lsnValue(endLsn);
  const began = performance.now();
  const connection = (
    client as unknown as { connection: { on(event: string, handler: (message: { chunk: Buffer }) => void): void } }
  ).connection;
  await new Promise<void>((resolve, reject) => {
    connection.on('copyData', ({ chunk }) => {
      if (chunk.readBigUInt64BE(1) >= end) resolve();
    });
    client
      .query(`START_REPLICATION SLOT ${slot} LOGICAL 0/0 (proto_version '1', publication_names '${publication}')`)
      .catch(reject);
  });
  const seconds = (performance.now() - began) / 1000;
  await client.end();
  return { what: 'raw copy stream to nowhere (pg_recvlogical is not installed)', seconds, clientCpu: null };
}

/** `COPY … TO STDOUT` thrown away as it comes. */
export async function copyToNowhere(postgres: Postgres, sql: string): Promise<number> {
  if (onPath('psql')) return run('psql', ['-X', '-q', '-d', postgres.url('bench'), '-c', sql]);
  const client = new Client({ connectionString: postgres.url('bench') });
  await client.connect();
  const began = performance.now();
  await client.query(sql);
  const seconds = (performance.now() - began) / 1000;
  await client.end();
  return seconds;
}
