/**
 * (i) 100 streams on one worker: idle, then 10 and 50 commits a second at each. Over twenty servers: the sender of a
 * stream decodes all commits of its server, and a hundred of them at one would measure nothing else. They have what the
 * product leaves of the cores: `commits_per_s` is what they could write with that. Their commits do not wait for the disk:
 * twenty servers have one, and each flushes its WAL 50 times a second (a third of p50 is that).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, startPostgres } from '@planasonix/testing';
import { logKey } from '../log.js';
import { makeConnection, makeStream, start } from '../shop.js';
import { elsewhere, peakMiB, quantile, round, rssMiB, sorted, stopwatch, type Stopwatch } from './measure.js';
import { readSlots } from './reference.js';
import { TABLE, rows, type Scene } from './scene.js';

const SERVERS = 20;
const STREAMS_A_SERVER = 5;
const PER_SECOND = [10, 50];
const SECONDS = 6;
const IDLE_SECONDS = 5;

/** Commits a row at each table in each turn, by the server's own clock. */
const WRITE = `CREATE PROCEDURE write(first int, last int, per_second int) LANGUAGE plpgsql AS $$
  DECLARE began timestamptz := clock_timestamp();
  BEGIN FOR turn IN first..last LOOP
    PERFORM pg_sleep(greatest(0, (turn - first)::float / per_second - extract(epoch FROM clock_timestamp() - began)));
    ${Array.from({ length: STREAMS_A_SERVER }, (_, i) => `${rows(`crowd_${i + 1}`, 'turn', 'turn')}; COMMIT;`).join(' ')}
  END LOOP; END $$`;

type Postgres = Awaited<ReturnType<typeof startPostgres>>;

/** A server with its tables, and a stream over each. */
async function tenant(scene: Scene, postgres: Postgres, name: string): Promise<string[]> {
  const session = await postgres.connect();
  for (let i = 1; i <= STREAMS_A_SERVER; i++) await session.query(`CREATE TABLE crowd_${i} ${TABLE}`);
  await session.query(WRITE);
  await session.end();
  const connectionId = await makeConnection(scene.stack, postgres, 'postgres', name);
  const ids = Array.from({ length: STREAMS_A_SERVER }, async (_, i) => {
    const config = { tables: [`public.crowd_${i + 1}`], snapshot: 'never' };
    const { stack, pipelineId } = scene;
    const id = await makeStream(stack, { name: `${name}-${i}`, connectionId, pipelineId, config });
    await start(stack, id, 60_000);
    return id;
  });
  return Promise.all(ids);
}

async function walsenders(postgres: Postgres): Promise<number[]> {
  const session = await postgres.connect();
  const found = await session.query<{ pid: number }>('SELECT pid FROM pg_stat_replication');
  await session.end();
  return found.rows.map(({ pid }) => pid);
}

/** A session that writes. */
async function writer(postgres: Postgres) {
  const session = await postgres.connect();
  await session.query('SET synchronous_commit = off');
  const { rows } = await session.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  elsewhere(rows.map(({ pid }) => pid));
  return session;
}

/** Ends the sessions. @returns seconds */
async function write(
  sessions: readonly Awaited<ReturnType<typeof writer>>[],
  from: number,
  turns: number,
  perSecond: number,
): Promise<number> {
  const began = performance.now();
  const call = `CALL write(${from + 1}, ${from + turns}, ${perSecond})`;
  await Promise.all(sessions.map((session) => session.query(call).finally(() => session.end())));
  return (performance.now() - began) / 1000;
}

const rates = ({ seconds, cpu }: ReturnType<Stopwatch['read']>): Record<string, number> =>
  Object.fromEntries(Object.entries(cpu).map(([name, used]) => [name, round(used / seconds, 3)]));

const processes = async ({ stack, redis }: Scene, servers: readonly Postgres[]) => ({
  worker: stack.pids('postgres-cdc'),
  redis: [redis.pid],
  aggregator: stack.pids('metrics-aggregator'),
  walsenders: (await Promise.all(servers.map(walsenders))).flat(),
});

/** From commit to append, ms: an entry's own id is Redis' clock at the append. */
async function latencies(scene: Scene, ids: readonly string[], from: number): Promise<number[]> {
  const client = scene.redis.client();
  const found: number[] = [];
  for (const id of ids)
    for (const [entry, fields] of (await client.xrange(logKey(id), '-', '+')).slice(from))
      found.push(Number(entry.split('-')[0]) - Date.parse(fields[fields.indexOf('time') + 1]!));
  return sorted(found);
}

/** `turns` commits at every stream, after the `from` that each has in its log. */
async function load(
  scene: Scene,
  servers: readonly Postgres[],
  ids: readonly string[],
  from: number,
  perSecond: number,
) {
  const turns = perSecond * SECONDS;
  const sessions = await Promise.all(servers.map(writer));
  const pids = await processes(scene, servers);
  elsewhere(pids.walsenders);
  const watch = stopwatch(pids);
  const wrote = await write(sessions, from, turns, perSecond);
  const client = scene.redis.client();
  const landed = async () => {
    const lengths = await Promise.all(ids.map((id) => client.xlen(logKey(id))));
    return lengths.every((length) => length >= from + turns);
  };
  await eventually('all commits are in the logs', landed, { timeoutMs: 120_000, everyMs: 50 });
  const used = watch.read();
  const took = await latencies(scene, ids, from);
  return {
    asked_commits_per_s: ids.length * perSecond,
    commits_per_s: round((ids.length * turns) / wrote, 0),
    appended_per_s: round((ids.length * turns) / used.seconds, 0),
    cores: rates(used),
    p50_ms: quantile(took, 0.5),
    p99_ms: quantile(took, 0.99),
    max_ms: took.at(-1),
    // Above 0 the machine was so full that the worker could not renew its leases: then the rest says little.
    leases_lost: scene.stack.log().split('"end":"lost"').length - 1,
  };
}

/** What the same writers reach where a `pg_recvlogical` reads each table to nowhere, and nothing of the product runs a stream. */
async function referenceRate(
  scene: Scene,
  servers: readonly Postgres[],
  ids: readonly string[],
  from: number,
  perSecond: number,
) {
  for (const id of ids) await scene.stack.api('POST', `/api/streams/${id}/stop`);
  const slots = [];
  for (const server of servers) {
    const session = await server.connect();
    for (let i = 1; i <= STREAMS_A_SERVER; i++) {
      const slot = `reference_${i}`;
      await session.query(`CREATE PUBLICATION ${slot} FOR TABLE crowd_${i}`);
      await session.query(`SELECT pg_create_logical_replication_slot('${slot}', 'pgoutput')`);
      slots.push({ url: server.url(), slot, publication: slot });
    }
    await session.end();
  }
  const end = readSlots(slots);
  if (end === null) return null;
  try {
    const started = async () => (await Promise.all(servers.map(walsenders))).flat();
    await eventually('all read', async () => (await started()).length === slots.length, { timeoutMs: 60_000 });
    elsewhere(await started());
    const sessions = await Promise.all(servers.map(writer));
    const turns = perSecond * SECONDS;
    const seconds = await write(sessions, from, turns, perSecond);
    return round((ids.length * turns) / seconds, 0);
  } finally {
    end();
  }
}

async function measure(scene: Scene, servers: readonly Postgres[]): Promise<object> {
  const worker = scene.stack.pids('postgres-cdc');
  const rss = () => Math.max(...worker.map(rssMiB));
  const alone = rss();
  const ids: string[] = [];
  for (const [i, server] of servers.entries()) ids.push(...(await tenant(scene, server, `crowd-${i}`)));
  const resting = stopwatch(await processes(scene, servers));
  await sleep(IDLE_SECONDS * 1000); // it is what is measured
  const idle = {
    cores: rates(resting.read()),
    worker_mib: round(rss()),
    mib_a_stream: round((rss() - alone) / ids.length, 2),
  };
  const loads = [];
  let from = 0;
  for (const perSecond of PER_SECOND) {
    loads.push(await load(scene, servers, ids, from, perSecond));
    from += perSecond * SECONDS;
  }
  const peak = round(Math.max(...worker.map(peakMiB)));
  const reference = {
    reference: 'a pg_recvlogical to nowhere for each stream',
    reference_commits_per_s: await referenceRate(scene, servers, ids, from, PER_SECOND.at(-1)!),
  };
  return {
    part: 'crowd',
    streams: ids.length,
    servers: servers.length,
    idle,
    loads,
    ...reference,
    worker_peak_mib: peak,
  };
}

export async function crowd(scene: Scene): Promise<object> {
  const servers: Postgres[] = [];
  try {
    for (let i = 0; i < SERVERS; i++)
      servers.push(await startPostgres({ config: { shared_buffers: '32MB', wal_writer_delay: '20ms' } }));
    return await measure(scene, servers);
  } finally {
    await Promise.all(servers.map((server) => server.stop('immediate')));
  }
}
