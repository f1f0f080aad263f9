/**
 * (i) 100 streams on one worker: idle, then 50 commits a second at each. Over ten servers: the sender of each stream
 * decodes all commits of its server, and a hundred of them at one would measure nothing else.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, startPostgres } from '@planasonix/testing';
import { logKey } from '../log.js';
import { makeConnection, makeStream, start } from '../shop.js';
import { peakMiB, quantile, round, rssMiB, sorted, stopwatch, type Stopwatch } from './measure.js';
import { TABLE, rows, type Scene } from './scene.js';

const SERVERS = 10;
const STREAMS_A_SERVER = 10;
const PER_SECOND = 50;
const SECONDS = 8;
const IDLE_SECONDS = 8;

/** Commits a row at each table every 1/50 s, by the server's own clock. */
const WRITE = `CREATE PROCEDURE write() LANGUAGE plpgsql AS $$
  DECLARE began timestamptz := clock_timestamp();
  BEGIN FOR turn IN 1..${PER_SECOND * SECONDS} LOOP
    PERFORM pg_sleep(greatest(0, turn / ${PER_SECOND}.0 - extract(epoch FROM clock_timestamp() - began)));
    ${Array.from({ length: STREAMS_A_SERVER }, (_, i) => `${rows(`crowd_${i + 1}`, 'turn', 'turn')}; COMMIT;`).join(' ')}
  END LOOP; END $$`;

/** From commit to append, ms: the entry's own id is Redis' clock at the append. */
async function latencies(scene: Scene, ids: readonly string[]): Promise<number[]> {
  const client = scene.redis.client();
  const found: number[] = [];
  for (const id of ids)
    for (const [entry, fields] of await client.xrange(logKey(id), '-', '+')) {
      const at = fields[fields.indexOf('time') + 1]!;
      found.push(Number(entry.split('-')[0]) - Date.parse(at));
    }
  return sorted(found);
}

type Postgres = Awaited<ReturnType<typeof startPostgres>>;

/** A server with ten tables, and a stream over each. */
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

const rates = ({ seconds, cpu }: ReturnType<Stopwatch['read']>): Record<string, number> =>
  Object.fromEntries(Object.entries(cpu).map(([name, used]) => [name, round(used / seconds, 3)]));

async function measure(scene: Scene, servers: readonly Postgres[]): Promise<object> {
  const { redis, stack } = scene;
  const worker = stack.pids('postgres-cdc');
  const alone = Math.max(...worker.map(rssMiB));
  const ids: string[] = [];
  for (const [i, server] of servers.entries()) ids.push(...(await tenant(scene, server, `crowd-${i}`)));
  const pids = {
    worker,
    redis: [redis.pid],
    aggregator: stack.pids('metrics-aggregator'),
    walsenders: (await Promise.all(servers.map(walsenders))).flat(),
  };
  const resting = stopwatch(pids);
  await sleep(IDLE_SECONDS * 1000); // it is what is measured
  const idle = rates(resting.read());
  const idleMiB = Math.max(...worker.map(rssMiB));

  const total = ids.length * PER_SECOND * SECONDS;
  const sessions = await Promise.all(servers.map((server) => server.connect()));
  const busy = stopwatch(pids);
  await Promise.all(sessions.map((session) => session.query('CALL write()')));
  const wrote = busy.read().seconds;
  const client = redis.client();
  const landed = async () => {
    const lengths = await Promise.all(ids.map((id) => client.xlen(logKey(id))));
    return lengths.reduce((sum, length) => sum + length, 0) >= total;
  };
  await eventually('all commits are in the logs', landed, { timeoutMs: 120_000, everyMs: 50 });
  const used = busy.read();
  await Promise.all(sessions.map((session) => session.end()));
  const took = await latencies(scene, ids);
  return {
    part: 'crowd',
    streams: ids.length,
    servers: servers.length,
    idle_cores: idle,
    idle_worker_mib: round(idleMiB),
    mib_a_stream: round((idleMiB - alone) / ids.length, 2),
    asked_commits_per_s: ids.length * PER_SECOND,
    commits_per_s: round(total / wrote, 0),
    appended_per_s: round(total / used.seconds, 0),
    busy_cores: rates(used),
    busy_worker_peak_mib: round(Math.max(...worker.map(peakMiB))),
    p50_ms: quantile(took, 0.5),
    p99_ms: quantile(took, 0.99),
    max_ms: took.at(-1),
  };
}

export async function crowd(scene: Scene): Promise<object> {
  const servers: Postgres[] = [];
  try {
    for (let i = 0; i < SERVERS; i++) servers.push(await startPostgres({ config: { shared_buffers: '32MB' } }));
    return await measure(scene, servers);
  } finally {
    await Promise.all(servers.map((server) => server.stop('immediate')));
  }
}
