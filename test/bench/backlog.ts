/** Rows that wait in the WAL, until all of them are in the log; beside it the same WAL read to nowhere. */
import { eventually } from '@planasonix/testing';
import { logKey } from '../log.js';
import { until } from '../shop.js';
import { drained, perMillion, round, sorted, stopwatch } from './measure.js';
import { profileOfWorker } from './profile.js';
import { readSlot } from './reference.js';
import { slotOf, undisturbed, walsender, type Scene } from './scene.js';

export interface Backlog {
  readonly part: string;
  /** As a stream's config and a publication name them. */
  readonly tables: readonly string[];
  readonly rows: number;
  /** Commits `rows` rows; runs in a procedure, so `COMMIT` may stand in it. `at` is a bigint for its use. */
  readonly fill: string;
  /** How often the same WAL is read, by the reference and by us in turn; told is the round of the median ratio. Default 1. */
  readonly rounds?: number;
}

/** A stream that has not read the WAL yet, and the slot of the reference for it. */
interface Reader {
  readonly id: string;
  readonly slot: string;
  readonly reference: string;
}

type Round = Readonly<Record<string, unknown>> & { readonly ratio: number };

export async function drainBacklog(scene: Scene, backlog: Backlog): Promise<Record<string, unknown>> {
  const { source } = scene;
  const { part, rows, tables, rounds = 1 } = backlog;
  await source.query(`CREATE PUBLICATION bench_ref_pub FOR TABLE ${tables.join(', ')}`);
  const readers: Reader[] = [];
  for (let i = 1; i <= rounds; i++) readers.push(await makeReader(scene, `${part}-${i}`, `bench_ref_${i}`, tables));
  await source.query(
    `CREATE PROCEDURE fill() LANGUAGE plpgsql AS $$ DECLARE at bigint := 1; BEGIN ${backlog.fill} END $$`,
  );
  await source.query('CALL fill()');
  const end = (await source.query<{ lsn: string }>('SELECT pg_current_wal_lsn() AS lsn')).rows[0]!.lsn;

  const found: Round[] = [];
  for (const reader of readers) found.push(await oneRound(scene, reader, rows, end));
  await source.query('DROP PROCEDURE fill');
  await source.query('DROP PUBLICATION bench_ref_pub');
  await source.query(`DROP TABLE ${tables.join(', ')}`);
  const ratios = found.map(({ ratio }) => ratio);
  const middle = sorted(ratios)[Math.floor(rounds / 2)];
  return { part, rows, ...found.find(({ ratio }) => ratio === middle), ...(rounds > 1 ? { ratios } : {}) };
}

async function makeReader(scene: Scene, name: string, reference: string, tables: readonly string[]): Promise<Reader> {
  const { source, stack } = scene;
  const id = await scene.stream(name, { tables, snapshot: 'never' });
  const slot = await slotOf(source, id);
  await stack.api('POST', `/api/streams/${id}/stop`);
  await until(stack, id, 'stopped', 60_000);
  await source.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [reference]);
  return { id, slot, reference };
}

async function oneRound(
  scene: Scene,
  { id, slot, reference: refSlot }: Reader,
  rows: number,
  end: string,
): Promise<Round> {
  const { source, stack, redis, postgres } = scene;
  const reference = await readSlot(postgres, refSlot, 'bench_ref_pub', end);
  await source.query('SELECT pg_drop_replication_slot($1)', [refSlot]);

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
  const profile = profileOfWorker(worker[0]);
  const server = stopwatch({ server: await walsender(source, slot) });
  await eventually('all rows are in the log', async () => (await client.xlen(logKey(id))) >= rows, {
    timeoutMs: 300_000,
    everyMs: 20,
  });
  const { seconds, cpu } = watch.read();
  const used = { ...cpu, ...server.read().cpu };
  const where = await profile();
  const told = (await stack.api('GET', `/api/streams/${id}/metrics`)).a;
  undisturbed(stack);
  const bytes = Number(await client.hget(logKey(id).replace(':events:', ':log:'), 'bytes'));
  const found = drained(rows, { seconds, bytes, worker }, reference);
  await stack.api('DELETE', `/api/streams/${id}?purge=true`);
  return {
    reference: reference.what,
    ...found,
    cpu_s_per_million: perMillion(used, rows),
    cpu_s_per_gib: Object.fromEntries(
      Object.entries(used).map(([name, of]) => [name, round((of / bytes) * 2 ** 30, 2)]),
    ),
    reference_client_cpu_s_per_million:
      reference.clientCpu === null ? null : round((reference.clientCpu / rows) * 1e6, 2),
    total_events: told?.total_events,
    ...where,
  };
}
