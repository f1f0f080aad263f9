import { eventually } from '@planasonix/testing';
import { resolveTables } from '../tables.js';
import { keysSql, rangeSql } from './chunk-sql.js';
import { expectEqual, expectNeverBack, expectUniqueIds, settle, sourceUnderTest } from './source-under-test.js';

jest.setTimeout(120_000);

const { fresh, reading } = sourceUnderTest();
const ROWS = 25_000;
const WANTED = { tables: ['public.*'], exclude_tables: [], exclude_columns: {} };

interface Kind {
  /** Makes the type of the key, in a schema of which no session knows. */
  readonly type: string;
  readonly column: string;
  /** The key of row `i`. */
  readonly key: string;
}

const PAIR = 'CREATE TYPE "Kinds"."Pair" AS (a int, b text)';
const MOODS = `DO $$ BEGIN EXECUTE (SELECT 'CREATE TYPE "Kinds".mood AS ENUM (' || string_agg(quote_literal('m' || i), ',') || ')' FROM generate_series(1, 40) i); END $$`;
const mood = `('m' || (i % 40 + 1))::"Kinds".mood`;

const KINDS: Readonly<Record<string, Kind>> = {
  'an enum': { type: MOODS, column: '"Kinds".mood', key: mood },
  'a domain over an enum': {
    type: `${MOODS}; CREATE DOMAIN "Kinds".humour AS "Kinds".mood; CREATE DOMAIN "Kinds"."Humour" AS "Kinds".humour`,
    column: '"Kinds"."Humour"',
    key: mood,
  },
  'a domain over text': { type: 'CREATE DOMAIN "Kinds".name AS text', column: '"Kinds".name', key: 'md5(i::text)' },
  'a domain over varchar': {
    type: 'CREATE DOMAIN "Kinds".name AS varchar(40)',
    column: '"Kinds".name',
    key: 'md5(i::text)',
  },
  'a composite type': { type: PAIR, column: '"Kinds"."Pair"', key: `ROW(i % 300, 'it''s (' || i)::"Kinds"."Pair"` },
  'a domain over a composite type': {
    type: `${PAIR}; CREATE DOMAIN "Kinds".couple AS "Kinds"."Pair"`,
    column: '"Kinds".couple',
    key: `ROW(i % 300, 'it''s (' || i)::"Kinds"."Pair"`,
  },
  'an array': { type: '', column: 'int[]', key: 'ARRAY[i % 300, i]' },
  'an array of a composite type': { type: PAIR, column: '"Kinds"."Pair"[]', key: `ARRAY[ROW(i, 'x')::"Kinds"."Pair"]` },
  'a domain over an array': {
    type: 'CREATE DOMAIN "Kinds".ints AS int[]',
    column: '"Kinds".ints',
    key: 'ARRAY[i % 300, i]',
  },
  'a range': { type: '', column: 'int4range', key: 'int4range(i, i + 5)' },
  'a multirange': { type: '', column: 'int4multirange', key: 'int4multirange(int4range(i, i + 5))' },
  'a domain over a multirange': {
    type: 'CREATE DOMAIN "Kinds".spans AS int4multirange',
    column: '"Kinds".spans',
    key: 'int4multirange(int4range(i, i + 5))',
  },
  'a domain over a range': {
    type: 'CREATE DOMAIN "Kinds".span AS int4range',
    column: '"Kinds".span',
    key: 'int4range(i, i + 5)',
  },
  bits: { type: '', column: 'bit(20)', key: 'i::bit(20)' },
  'fixed characters': { type: '', column: 'char(40)', key: 'md5(i::text)' },
};

const made = (
  { type, column, key }: Kind,
  rows: number,
): string => `CREATE TABLE marks (m text PRIMARY KEY); CREATE SCHEMA "Kinds"; ${type};
  CREATE TABLE t (k ${column}, n int, v int NOT NULL, big text, PRIMARY KEY (k, n));
  ALTER TABLE t ALTER big SET STORAGE EXTERNAL;
  CREATE TABLE single (k ${column} PRIMARY KEY);
  INSERT INTO single SELECT DISTINCT ON (k) k FROM (SELECT ${key} AS k FROM generate_series(1, 1000) i) s;
  INSERT INTO t SELECT ${key}, i, 0, CASE WHEN i % 1000 = 0 THEN repeat('z', 3000) END FROM generate_series(1, ${rows}) i; ANALYZE`;

/** Whoever reads them reads the others too. */
const STREAMED: readonly string[] = [
  ...['an enum', 'a domain over an enum', 'a domain over text', 'a composite type', 'a domain over a composite type'],
  ...['an array', 'a range'],
];

describe('a key of a type that is compared as what it consists of', () => {
  it.each(Object.entries(KINDS).filter(([name]) => STREAMED.includes(name)))(
    '%s: in several chunks, with changes beside',
    async (_, kind) => {
      const db = await fresh(made(kind, ROWS));
      const one = reading(db, { tables: ['public.*'], snapshot_readers: 2 });
      let changed = 0;
      // Values that are not said again: their rows are asked for by key.
      one.start({
        beforeEach: async () => {
          if (one.events.length < ROWS * 0.2 * (changed + 1) || changed === 3) return;
          changed++;
          await db.client.query(
            `UPDATE t SET v = v + 1 WHERE n % 500 = 0; UPDATE t SET n = -n, v = v + 1 WHERE n = ${changed * 1000}`,
          );
        },
      });
      await eventually('its rows are in', () => one.progress()?.state === 'done' || one.failure !== null, {
        timeoutMs: 60_000,
      });
      expect(one.failure).toBeNull();
      await one.rowsDone();
      await settle(one, db.client);
      expect(changed).toBe(3);
      expectNeverBack(one, 'public.t');
      await expectEqual(one, db.client, 'public.t', "'k', k, 'n', n");
      await expectEqual(one, db.client, 'public.single', "'k', k");
      expectUniqueIds(one);
    },
  );

  it.each(Object.entries(KINDS))('%s: is asked for by its index, in its order', async (_, kind) => {
    const db = await fresh(made(kind, 1000));
    const ours = await db.ours();
    await ours.query('SET enable_seqscan = off');
    const plan = async (copy: string): Promise<string> => {
      const { rows } = await ours.query<{ 'QUERY PLAN': string }>(
        `EXPLAIN ${copy.slice('COPY ('.length, -') TO STDOUT'.length)}`,
      );
      return rows.map((row) => row['QUERY PLAN']).join('\n');
    };
    const tables = await resolveTables(ours, WANTED);
    for (const table of tables.filter(({ table: name }) => name !== 'marks')) {
      const keys = table.key.map((name) => `${name}::text`).join(', ');
      const { rows } = await ours.query<Record<string, string>>(
        `SELECT ARRAY[${keys}]::text[] AS key FROM public.${table.table} ORDER BY ${table.key.join(', ')} LIMIT 3`,
      );
      const texts = await Promise.all(
        rows.map(
          async ({ key }) =>
            (
              await ours.query<{ t: string }>(
                `SELECT array_to_json('${key!.replaceAll("'", "''")}'::text[])::text AS t`,
              )
            ).rows[0]!.t,
        ),
      );
      const [first, second, third] = texts.map((text) => JSON.parse(text) as string[]);
      // So few rows would be sorted at less cost.
      await ours.query('SET enable_bitmapscan = off');
      const ranged = rangeSql(table, { after: first!, upto: third! }, null, 20_000);
      expect(await plan(ranged)).toMatch(/Index Cond/);
      expect(await plan(ranged)).not.toMatch(/Sort/);
      expect((await ours.query(ranged.slice('COPY ('.length, -') TO STDOUT'.length))).rowCount).toBe(2);
      await ours.query('SET enable_bitmapscan = on');
      const byKeys = keysSql(table, [first!, second!], null);
      expect(await plan(byKeys)).toMatch(/Index Cond/);
      expect((await ours.query(byKeys.slice('COPY ('.length, -') TO STDOUT'.length))).rowCount).toBe(2);
    }
  });
});
