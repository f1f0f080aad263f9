/** (d) A snapshot of 1,000,000 rows: into the log, and into nothing. */
import { NO_ORDERS, systemClock, type Log, type SourceContext } from '@planasonix/core';
import { eventually } from '@planasonix/testing';
import { postgresCdc } from '../../apps/postgres-cdc/src/source-type.js';
import { logKey } from '../log.js';
import { perMillion, round, stopwatch } from './measure.js';
import { copyToNowhere } from './reference.js';
import { profileOf, profileOfWorker } from './profile.js';
import { rows, TABLE, undisturbed, type Scene } from './scene.js';

const ROWS = 1_000_000;
/** How often into nothing, each time beside its reference; told is the median. */
const ROUNDS = 5;

const quiet: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** The connector's own reader with nobody behind it: what reading and encoding cost alone. */
async function intoNothing(scene: Scene): Promise<number> {
  const { host, port, password } = scene.postgres;
  const context: SourceContext = {
    streamId: 'str_bench',
    streamName: 'nothing',
    config: { tables: ['public.snap'], snapshot: 'only', slot_name: 'bench_nothing', publication: 'bench_nothing' },
    connection: {
      id: 'conn_bench',
      type: 'postgres',
      config: { host, port, database: 'bench', user: 'postgres', password, sslMode: 'disable' },
    },
    outbound: { resolve: (name) => Promise.resolve(name) },
    owned: {},
    remember: () => Promise.resolve(),
    orders: NO_ORDERS,
    onLostPosition: null,
    clock: systemClock,
    log: quiet,
  };
  const source = postgresCdc.create(context);
  const stop = new AbortController();
  const began = performance.now();
  let read = 0;
  for await (const batch of source.read(new Map(), stop.signal))
    for (const event of batch.events) if (event.data.length > 0) read++;
  const seconds = (performance.now() - began) / 1000;
  if (read < ROWS) throw new Error(`the snapshot into nothing gave ${read} rows`);
  await source.close();
  await scene.source.query(
    "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'bench_nothing' AND NOT active",
  );
  await scene.source.query('DROP PUBLICATION IF EXISTS bench_nothing');
  return seconds;
}

export async function snapshot(scene: Scene): Promise<object> {
  const { source, redis, stack, postgres } = scene;
  await source.query(`CREATE TABLE snap ${TABLE}`);
  await source.query(rows('snap', '1', String(ROWS)));
  await source.query('VACUUM ANALYZE snap');
  const json = 'COPY (SELECT to_jsonb(t) FROM snap t) TO STDOUT';
  const rounds: { readonly plain: number; readonly nothing: number }[] = [];
  for (let i = 0; i < ROUNDS; i++)
    rounds.push({ plain: await copyToNowhere(postgres, 'COPY snap TO STDOUT'), nothing: await intoNothing(scene) });
  rounds.sort((a, b) => a.plain / a.nothing - b.plain / b.nothing);
  const { plain, nothing } = rounds[Math.floor(ROUNDS / 2)]!;
  // Once more, for the profiler slows it down.
  const where = await profileOf(() => intoNothing(scene));

  const client = redis.client();
  const id = await scene.create('snap', { tables: ['public.snap'] });
  const before = await copyToNowhere(postgres, json);
  const watch = stopwatch({ worker: stack.pids('postgres-cdc'), redis: [redis.pid] });
  await stack.api('POST', `/api/streams/${id}/start`);
  const profile = profileOfWorker(stack.pids('postgres-cdc')[0]);
  await eventually('the snapshot is in the log', async () => (await client.xlen(logKey(id))) >= ROWS, {
    timeoutMs: 300_000,
    everyMs: 50,
  });
  const { seconds, cpu } = watch.read();
  const intoLog = await profile();
  undisturbed(stack);
  const asJson = (before + (await copyToNowhere(postgres, json))) / 2;
  await stack.api('DELETE', `/api/streams/${id}?purge=true`);
  await source.query('DROP TABLE snap');
  return {
    part: 'snapshot',
    rows: ROWS,
    reference: 'COPY (SELECT to_jsonb(t) …) TO STDOUT, to nowhere',
    reference_rows_per_s: round(ROWS / asJson, 0),
    into_log_rows_per_s: round(ROWS / seconds, 0),
    ratio_log: round(asJson / seconds, 2),
    aim_log: 0.5,
    cpu_s_per_million: perMillion(cpu, ROWS),
    ...intoLog,
    plain_copy_rows_per_s: round(ROWS / plain, 0),
    into_nothing_rows_per_s: round(ROWS / nothing, 0),
    ratio_nothing: round(plain / nothing, 2),
    ratios_nothing: rounds.map((one) => round(one.plain / one.nothing, 2)),
    aim_nothing: 0.6,
    into_nothing_where: where,
  };
}
