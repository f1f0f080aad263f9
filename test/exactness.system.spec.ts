import { eventually } from '@planasonix/testing';
import type { Client } from 'pg';
import { fold, readLog, repeatedIds, type LogEvent } from './log.js';
import { makeStream, start, status, until } from './shop.js';
import { makeWorld, type World } from './world.js';

jest.setTimeout(400_000);

/** A small deterministic generator, so that a failure can be seen again. */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % below;
}

/** Inserts, updates, key changes, deletes, rollbacks, savepoints and TOASTed values on two tables. */
async function work(session: Client, seed: number, until: () => boolean): Promise<void> {
  const next = generator(seed);
  const base = seed * 1_000_000;
  for (let i = 1; !until(); i++) {
    const id = base + i;
    const some = base + 1 + next(i);
    await session.query('BEGIN');
    await session.query('INSERT INTO ledger VALUES ($1, $2, $3)', [
      id,
      `row ${i}`,
      next(20) === 0 ? 'big '.repeat(4000) + i : null,
    ]);
    switch (next(7)) {
      case 0:
        await session.query('UPDATE ledger SET v = v || $2 WHERE id = $1', [some, '!']);
        break;
      case 1:
        await session.query('UPDATE ledger SET id = -id WHERE id = $1', [some]);
        break;
      case 2:
        await session.query('DELETE FROM ledger WHERE id = $1', [some]);
        break;
      case 3:
        await session.query('SAVEPOINT s');
        await session.query('DELETE FROM ledger WHERE id BETWEEN $1 AND $2', [id - 50, id]);
        await session.query('ROLLBACK TO s');
        break;
      case 4:
        await session.query('INSERT INTO pair VALUES ($1, $2)', [`${id}a`, id]);
        break;
      default:
    }
    await session.query(next(10) === 0 ? 'ROLLBACK' : 'COMMIT');
    // Three writers without a breath take the two cores of a small machine from what is tested.
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

describe('every committed change is in the log, once', () => {
  let world: World;
  let id: string;
  let writing = true;
  let writers: Promise<unknown>;

  beforeAll(async () => {
    world = await makeWorld();
    await world.source.query('CREATE TABLE ledger(id bigint PRIMARY KEY, v text, big text)');
    await world.source.query('CREATE TABLE pair("Key" text PRIMARY KEY, of bigint)');
    await world.source.query(
      "INSERT INTO ledger SELECT -i, 'before', NULL FROM generate_series(1000000000, 1000005000) i",
    );
    id = await makeStream(world.stack, {
      name: 'exact',
      connectionId: world.connectionId,
      pipelineId: world.pipelineId,
      config: { tables: ['public.*'] },
    });
    writers = Promise.all([1, 2, 3].map(async (seed) => work(await world.session(), seed, () => !writing)));
    await start(world.stack, id);
    await eventually(
      'the snapshot is in',
      async () => (await world.stack.api('GET', `/api/streams/${id}`)).a.snapshot?.state === 'done',
      { timeoutMs: 60_000 },
    );
  });
  afterAll(async () => {
    writing = false;
    await writers;
    await world?.end();
  });

  /** The server's own words for its rows, by subject and key. */
  async function truth(): Promise<Map<string, string>> {
    const rows = new Map<string, string>();
    for (const [table, key] of [
      ['ledger', 'id'],
      ['pair', '"Key"'],
    ] as const) {
      const found = await world.source.query(
        `SELECT json_build_object('${key.replaceAll('"', '')}', ${key})::jsonb::text AS key, to_jsonb(t) AS row FROM ${table} t`,
      );
      for (const row of found.rows)
        rows.set(`public.${table} ${JSON.stringify(JSON.parse(row.key as string))}`, JSON.stringify(row.row));
    }
    return rows;
  }

  async function expectEqual(): Promise<LogEvent[]> {
    await world.source.query('INSERT INTO pair VALUES ($1, 0)', [`end-${Date.now()}`]);
    const last = (await world.source.query('SELECT max("Key") AS key FROM pair WHERE "Key" LIKE \'end-%\'')).rows[0]
      .key as string;
    await eventually(
      'the last commit is in the log',
      async () =>
        (await world.redis.xrevrange(`plnx:events:{${id}}`, '+', '-', 'COUNT', 50)).some(([, fields]) =>
          fields.join(' ').includes(last),
        ),
      { timeoutMs: 60_000 },
    );
    const events = await readLog(world.redis, id);
    expect(repeatedIds(events)).toBe(0);
    const folded = new Map(
      [...fold(events)].map(([key, row]) => {
        const [subject, ...rest] = key.split(' ');
        return [`${subject} ${JSON.stringify(JSON.parse(rest.join(' ')))}`, row];
      }),
    );
    const expected = await truth();
    expect(folded.size).toBe(expected.size);
    const sorted = (row: object) =>
      JSON.stringify(Object.fromEntries(Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1))));
    for (const [key, row] of expected) {
      const got = folded.get(key);
      if (got === undefined || sorted(got) !== sorted(JSON.parse(row) as object))
        throw new Error(`${key}: log ${JSON.stringify(got)?.slice(0, 200)} against table ${row.slice(0, 200)}`);
    }
    return events;
  }

  it('SIGKILL of the worker at random moments, three times', async () => {
    const next = generator(7);
    for (let kill = 0; kill < 3; kill++) {
      const before = await world.redis.xlen(`plnx:events:{${id}}`);
      await eventually('it writes', async () => (await world.redis.xlen(`plnx:events:{${id}}`)) > before + next(2000), {
        timeoutMs: 60_000,
      });
      for (const pid of world.stack.pids('postgres-cdc')) process.kill(pid, 'SIGKILL');
      await eventually('a worker runs again', () => world.stack.pids('postgres-cdc').length > 0, { timeoutMs: 60_000 });
    }
    await until(world.stack, id, 'running');
  });

  it('stop, start, pause and resume under load', async () => {
    for (let round = 0; round < 3; round++) {
      for (const [verb, answer] of [
        ['pause', 'paused'],
        ['resume', 'running'],
        ['stop', 'stopped'],
        ['start', 'starting'],
      ] as const)
        expect((await world.stack.api('POST', `/api/streams/${id}/${verb}`)).a.status).toBe(answer);
      await until(world.stack, id, 'running');
    }
  });

  it('Redis killed and started again', async () => {
    await world.redisServer.kill();
    await world.redisServer.start();
    await until(world.stack, id, 'running');
  });

  it('the log, folded by key, is the tables; ids are unique; order per key holds; totals are the log', async () => {
    writing = false;
    await writers;
    const events = await expectEqual();
    const lastPlace = new Map<string, string>();
    for (const event of events) {
      if (event.data.op === 'r' || event.data.op === 't') continue;
      const key = `${event.subject} ${event.partitionkey}`;
      const { commit_lsn: lsn, seq } = event.data.source as { commit_lsn: string; seq: number };
      const place =
        lsn
          .split('/')
          .map((half) => half.padStart(8, '0'))
          .join('') + String(seq).padStart(10, '0');
      expect(place > (lastPlace.get(key) ?? '')).toBe(true);
      lastPlace.set(key, place);
    }
    await eventually(
      'the totals are told',
      async () => (await world.stack.api('GET', `/api/streams/${id}/metrics`)).a.total_events === events.length,
    );
    expect(await status(world.stack, id)).toBe('running');
  });
});
