/** (a) 600,000 rows that wait in the WAL, until all of them are in the log. */
import { eventually } from '@planasonix/testing';
import { logKey } from '../log.js';
import { until } from '../shop.js';
import { peakMiB, round, stopwatch } from './measure.js';
import { readSlot } from './reference.js';
import { rows, slotOf, TABLE, walsender, type Scene } from './scene.js';

const ROWS = Number(600_000);
const PER_TRANSACTION = 100;

export async function drain(scene: Scene): Promise<object> {
  const { source, stack, redis, postgres } = scene;
  await source.query(`CREATE TABLE drain ${TABLE}`);
  await source.query('CREATE PUBLICATION bench_ref_pub FOR TABLE drain');
  const id = await scene.stream('drain', { tables: ['public.drain'], snapshot: 'never' });
  const slot = await slotOf(source);
  await stack.api('POST', `/api/streams/${id}/stop`);
  await source.query("SELECT pg_create_logical_replication_slot('bench_ref', 'pgoutput')");
  await source.query(`CREATE PROCEDURE fill(upto bigint) LANGUAGE plpgsql AS $$
    DECLARE at bigint := 1; BEGIN WHILE at <= upto LOOP ${rows('drain', 'at', `at + ${PER_TRANSACTION - 1}`)}; COMMIT; at := at + ${PER_TRANSACTION}; END LOOP; END $$`);
  await source.query(`CALL fill(${ROWS})`);
  const end = (await source.query<{ lsn: string }>('SELECT pg_current_wal_lsn() AS lsn')).rows[0]!.lsn;

  const reference = await readSlot(postgres, 'bench_ref', 'bench_ref_pub', end);
  await source.query("SELECT pg_drop_replication_slot('bench_ref')");

  const client = redis.client();
  const worker = stack.pids('postgres-cdc');
  const watch = stopwatch({
    worker,
    redis: [redis.pid],
    gateway: stack.pids('api-gateway'),
    aggregator: stack.pids('metrics-aggregator'),
  });
  await stack.api('POST', `/api/streams/${id}/start`);
  await until(stack, id, 'running', 60_000);
  const server = stopwatch({ server: await walsender(source, slot) });
  await eventually('all rows are in the log', async () => (await client.xlen(logKey(id))) >= ROWS, {
    timeoutMs: 300_000,
    everyMs: 20,
  });
  const { seconds, cpu } = watch.read();
  const all = { ...cpu, ...server.read().cpu };
  const latency = (await stack.api('GET', `/api/streams/${id}/metrics`)).a;
  await stack.api('DELETE', `/api/streams/${id}?purge=true`);
  await source.query('DROP TABLE drain');
  return {
    part: 'drain',
    rows: ROWS,
    reference: reference.what,
    reference_rows_per_s: round(ROWS / reference.seconds, 0),
    ours_rows_per_s: round(ROWS / seconds, 0),
    ratio: round(reference.seconds / seconds, 2),
    aim: '0.7, at least 0.5',
    worker_peak_mib: round(Math.max(...worker.map(peakMiB))),
    cpu_s_per_million: Object.fromEntries(
      Object.entries(all).map(([name, used]) => [name, round((used / ROWS) * 1e6, 2)]),
    ),
    reference_client_cpu_s_per_million:
      reference.clientCpu === null ? null : round((reference.clientCpu / ROWS) * 1e6, 2),
    total_events: latency?.total_events,
  };
}
