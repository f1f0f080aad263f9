import { systemClock } from '@planasonix/core';
import { Pace } from '@planasonix/rows';
import { TypeCatalog } from '../decode/index.js';
import { ChunkReader, type Chunk } from './chunk-reader.js';
import { rowFeedUnderTest } from './row-feed-under-test.js';

jest.setTimeout(120_000);

describe('one chunk, on the session that reads the next one too', () => {
  const { table, session, ends, query } = rowFeedUnderTest();
  const pace = new Pace(Infinity, 1, systemClock);

  async function reader(exported: string | null = null) {
    const client = await session();
    ends.push(() => client.end());
    const one = new ChunkReader(client, {
      ...{
        catalog: new TypeCatalog(),
        config: { tables: ['public.*'], exclude_tables: [], exclude_columns: {}, snapshot: 'initial' },
        obeys: null,
      },
      ...{ database: 'postgres', excludedOf: () => new Set<string>(), exported: () => exported, now: () => 0 },
    });
    return { one, pid: (await client.query<{ pid: string }>('SELECT pg_backend_pid() AS pid')).rows[0]!.pid };
  }

  /** Its rows are the tables that the reader has locked while it reads. */
  const locksOf = (oid: number, pid: string, over: Partial<Chunk> = {}) => {
    const seen = { names: [] as string[], locked: [] as string[] };
    const chunk: Chunk = {
      ...{
        oid,
        whole: false,
        allowance: pace.take(20_000),
        more: () => Promise.resolve(true),
        idPrefix: 'x-',
        begin: () => undefined,
        busy: () => undefined,
        withheld: () => undefined,
        postpone: () => undefined,
      },
      opened: (_, { table: name }) => {
        seen.names.push(name);
        return `COPY (SELECT relation::int, NULL FROM pg_catalog.pg_locks WHERE pid = ${pid} AND mode = 'AccessShareLock'
          AND relation::int > 16383 AND relation IN (SELECT oid FROM pg_catalog.pg_class WHERE relkind = 'r')) TO STDOUT`;
      },
      rows: (events) => {
        seen.locked.push(...events.map(({ partitionkey }) => partitionkey));
        return true;
      },
      ...over,
    };
    return { chunk, seen };
  };

  it('a table whose name something else has by now is locked and read under its own', async () => {
    const oid = await table('mine', 3, 'x');
    await table('theirs', 3, 'x');
    const { one, pid } = await reader();
    const readsAs = async (name: string) => {
      const { chunk, seen } = locksOf(oid, pid);
      expect(await one.read(chunk)).toBe(1);
      expect(seen).toEqual({ names: [name], locked: [JSON.stringify({ id: oid })] });
    };
    await readsAs('mine');
    await query('ALTER TABLE mine RENAME TO mine_second; ALTER TABLE theirs RENAME TO mine');
    await readsAs('mine_second');
    // What can't be locked at all.
    await query('ALTER TABLE mine_second RENAME TO mine_third; CREATE SEQUENCE mine_second');
    await readsAs('mine_third');
    await query('DROP TABLE mine_third');
    expect(await one.read(locksOf(oid, pid).chunk)).toBeNull();
  });

  it('a table that had another name for the exported snapshot is read later, and not what has that name by now', async () => {
    const oid = await table('once', 3, 'x');
    await table('other', 3, 'x');
    const exporting = await session();
    ends.push(() => exporting.end());
    await exporting.query('BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY');
    const { rows } = await exporting.query<{ name: string }>('SELECT pg_export_snapshot() AS name');
    await query('ALTER TABLE once RENAME TO once_before; ALTER TABLE other RENAME TO once');
    const { one, pid } = await reader(rows[0]!.name);
    const postpone = jest.fn();
    const { chunk, seen } = locksOf(oid, pid, { postpone });
    expect(await one.read(chunk)).toBe(0);
    expect([postpone.mock.calls.length, seen.names]).toEqual([1, []]);
  });

  it('keeps neither its snapshot nor its lock once its rows have come, also where they could not be read', async () => {
    const oid = await table('ended', 3, 'x');
    const { one, pid } = await reader();
    const left = async () => {
      const { rows } = await query<{ state: string; locks: string }>(
        'SELECT a.state, (SELECT count(*)::int FROM pg_locks l WHERE l.pid = a.pid) AS locks FROM pg_stat_activity a WHERE a.pid = $1',
        [pid],
      );
      return rows[0];
    };
    expect(await one.read(locksOf(oid, pid).chunk)).toBe(1);
    expect(await left()).toEqual({ state: 'idle', locks: 0 });
    const fails = locksOf(oid, pid, { opened: () => 'COPY (SELECT id / (id - 2), v FROM public.ended) TO STDOUT' });
    await expect(one.read(fails.chunk)).rejects.toThrow('division by zero');
    expect(await left()).toEqual({ state: 'idle', locks: 0 });
    expect(await one.read(locksOf(oid, pid).chunk)).toBe(1);
  });

  it.each([
    ['55P03', 'locked'],
    ['40001', 'conflict'],
    ['40P01', 'conflict'],
  ] as const)(
    'what the server breaks off by %s is to be read again, and the session goes on',
    async (state, expected) => {
      const name = `broken_${state.toLowerCase()}`;
      const oid = await table(name, 3, 'x');
      await query(
        `CREATE FUNCTION ${name}() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE SQLSTATE '${state}'; END $$`,
      );
      const { one, pid } = await reader();
      const told: string[] = [];
      const { chunk: broken } = locksOf(oid, pid, {
        opened: () => `COPY (SELECT public.${name}(), NULL) TO STDOUT`,
        busy: (why) => void told.push(why),
      });
      expect([await one.read(broken), told]).toEqual([0, [expected]]);
      expect(await one.read(locksOf(oid, pid).chunk)).toBe(1);
    },
  );
});
