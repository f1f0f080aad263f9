import type { ChangeEvent } from '@planasonix/core';
import { startPostgres } from '@planasonix/testing';
import fc from 'fast-check';
import { Client } from 'pg';
import { CopyOut } from '../copy-out.js';
import { SnapshotEncoder, StreamDecoder, TypeCatalog } from './index.js';
import { columnsOf, EXTENSIONS, text, WITHOUT_INPUT } from './values-under-test.js';

jest.setTimeout(240_000);

const raw = { getTypeParser: () => (value: string) => value };

describe.each([14, 15, 16, 17, 18] as const)(
  'Postgres %i: what leaves the decoder is what to_jsonb gives',
  (version) => {
    let server: Awaited<ReturnType<typeof startPostgres>>;
    let client: Client;
    let decoder: StreamDecoder;
    let values: ReturnType<typeof columnsOf>;
    const catalog = new TypeCatalog();
    const query = async (sql: string, params: readonly unknown[]) =>
      (await client.query<Record<string, string | null>>(sql, [...params])).rows;

    beforeAll(async () => {
      server = await startPostgres({ version });
      client = new Client({
        connectionString: server.url(),
        types: raw,
        options:
          '-c DateStyle=ISO -c IntervalStyle=postgres -c TimeZone=UTC -c extra_float_digits=3 -c bytea_output=hex',
      });
      await client.connect();
      for (const sql of [
        'CREATE EXTENSION IF NOT EXISTS hstore',
        `CREATE TYPE mood AS ENUM ('sad', 'so "so"', 'it\\s')`,
        'CREATE DOMAIN positive AS numeric CHECK (VALUE > 0)',
        'CREATE DOMAIN names AS text[]',
        'CREATE TYPE pair AS (n int, "T x" text)',
        'CREATE TYPE nested AS (p pair, gone int, list int[], ok boolean, at timestamp)',
        'ALTER TYPE nested DROP ATTRIBUTE gone',
        'CREATE TYPE mixed AS (j json, b jsonb, h hstore, m mood, p positive, n names, r tstzrange, a pair[])',
      ])
        await client.query(sql);
      const { rows } = await client.query<{ name: string }>(
        'SELECT name FROM pg_available_extensions WHERE name = ANY ($1)',
        [Object.keys(EXTENSIONS)],
      );
      const extensions = rows.map(({ name }) => name);
      for (const name of extensions) await client.query(`CREATE EXTENSION ${name}`);
      values = columnsOf(extensions);
      const columns = Object.keys(values).map((type, i) => `"C${i} ${type.replaceAll('"', '')}" ${type}`);
      await client.query(
        `CREATE TABLE everything(id bigint PRIMARY KEY, dropped int, "__proto__" text, "q""uote\n" text, ${columns.join(', ')})`,
      );
      await client.query('ALTER TABLE everything DROP COLUMN dropped');
      await client.query('CREATE PUBLICATION p FOR ALL TABLES');
      await client.query("SELECT pg_create_logical_replication_slot('s', 'pgoutput')");
      decoder = newDecoder();
    });
    afterAll(async () => {
      await client?.end();
      await server?.stop('immediate');
    });

    const keys: Record<string, readonly string[]> = { everything: ['id'], two: ['b', 'A'], full: ['id'] };
    const newDecoder = (excluded: readonly string[] = []) =>
      new StreamDecoder({
        catalog,
        keyOf: (relation) => keys[relation.table] ?? [],
        excludedOf: () => new Set(excluded),
        database: 'postgres',
        idPrefix: 'x-',
      });

    /** What is in the WAL since the last look, through the decoder. */
    async function changes(into = decoder): Promise<ChangeEvent[]> {
      const { rows } = await client.query<{ lsn: string; data: string }>(
        "SELECT lsn::text, data::text FROM pg_logical_slot_get_binary_changes('s', NULL, NULL, 'proto_version', '1', 'publication_names', 'p')",
      );
      for (const { lsn, data } of rows) {
        const [high, low] = lsn.split('/').map((half) => Number.parseInt(half, 16));
        const message = Buffer.from(data.slice(2), 'hex');
        const fed = into.feed(message, high!, low!);
        if (fed !== 'relation' && fed !== 'outdated') continue;
        const types = into.pending!.columns.map((column) => column.typeOid);
        await (fed === 'relation' ? catalog.ensure(types, query) : catalog.renew(types, query));
        into.adopt();
        if (fed === 'outdated') expect(into.feedAgain(message, high!, low!)).toBe('change');
      }
      return into.take();
    }
    const dataOf = (event: ChangeEvent | undefined) => JSON.parse(event!.data.toString());
    /** The `after` of an event as the very text it has there. */
    const afterText = (event: ChangeEvent): string => {
      const text = event.data.toString();
      return text.slice(text.indexOf('"after":') + 8, text.lastIndexOf(',"unchanged":'));
    };

    it('for generated values of every type, by stream and by snapshot alike (traps 14, 15)', async () => {
      const names = Object.keys(values);
      const taken = new Set<string>();
      let id = 0;
      await fc.assert(
        fc.asyncProperty(
          fc.tuple(...names.map((name) => fc.option(values[name]!, { freq: 8 }))),
          text,
          async (drawn, odd) => {
            id++;
            const fits = (value: string | null, i: number) =>
              value !== null &&
              client.query(`SELECT $1::${names[i]}`, [value]).then(
                () => true,
                () => false,
              );
            const holes = names.map((name, i) => `$${i + 4}::${name}`).join(', ');
            const insert = async (row: readonly (string | null)[]) => {
              await client.query(`INSERT INTO everything VALUES ($1, $2, $3, ${holes})`, [id, odd, odd, ...row]);
              for (const [i, value] of row.entries()) if (value !== null) taken.add(names[i]!);
            };
            await insert(drawn).catch(async () => {
              // A value that the type itself refuses is no test of ours.
              const kept: (string | null)[] = [];
              for (const [i, value] of drawn.entries()) kept.push((await fits(value, i)) ? value : null);
              expect(kept.filter((value) => value !== null).length).toBeGreaterThan(names.length / 2);
              await insert(kept);
            });
            const [event, ...rest] = await changes();
            expect(rest).toEqual([]);
            const after = afterText(event!);
            const told = await client.query<{ same: string; ours: string; theirs: string }>(
              'SELECT ($1::jsonb::text = to_jsonb(t)::text)::text AS same, $1::jsonb::text AS ours, to_jsonb(t)::text AS theirs FROM everything t WHERE id = $2',
              [after, id],
            );
            if (told.rows[0]!.same !== 'true') expect(told.rows[0]!.ours).toBe(told.rows[0]!.theirs);
            expect(event!.partitionkey).toBe(`{"id":${id}}`);

            const { rows: attributes } = await client.query<{ name: string; type: string }>(
              "SELECT attname AS name, atttypid::text AS type FROM pg_attribute WHERE attrelid = 'everything'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            );
            const columns = attributes.map((row) => ({ name: row.name, typeOid: Number(row.type), identity: false }));
            const encoder = new SnapshotEncoder({
              catalog,
              relation: { oid: 1, schema: 'public', table: 'everything', replicaIdentity: 'f', columns },
              key: ['id'],
              excluded: new Set(),
              database: 'postgres',
              idPrefix: 'snap-1-1-t-0-',
              lsn: 0n,
              takenAtMs: 0,
            });
            await CopyOut.run(client, `COPY (SELECT * FROM everything WHERE id = ${id}) TO STDOUT`, (...row) =>
              encoder.row(...row),
            ).done;
            const read = encoder.take();
            expect(afterText(read[0]!)).toBe(after);
            expect(read[0]).toMatchObject({
              partitionkey: event!.partitionkey,
              id: `snap-1-1-t-0-{"id":${id}}`,
              order: null,
            });
          },
        ),
        { numRuns: version === 17 ? 60 : 15 },
      );
      expect(names.filter((name) => !taken.has(name))).toEqual([]);
    });

    it('there are values of every type that is built in, and of arrays of it', async () => {
      const { rows } = await client.query<{ name: string }>(
        `SELECT t.typname AS name FROM pg_type t WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typtype IN ('b', 'e', 'd', 'r', 'm')
           AND NOT EXISTS (SELECT FROM pg_type of WHERE of.typarray = t.oid AND (of.typtype IN ('p', 'c') OR of.typname = ANY ($1)))
           AND NOT t.typname = ANY ($1)
           AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = 'everything'::regclass AND a.atttypid = t.oid) ORDER BY 1`,
        [[...WITHOUT_INPUT]],
      );
      expect(rows.map(({ name }) => name)).toEqual([]);
    });

    it('a key in its own order, changed keys, deletes, truncate; ids and orders that never repeat (trap 4)', async () => {
      await client.query('CREATE TABLE two("A" int, b text, v text, PRIMARY KEY (b, "A"))');
      await client.query(`INSERT INTO two VALUES (1, 'k"', 'v'), (2, 'x', 'v')`);
      await client.query(`UPDATE two SET v = 'w' WHERE "A" = 1`);
      await client.query(`UPDATE two SET "A" = 9 WHERE "A" = 1`);
      await client.query('DELETE FROM two WHERE "A" = 2');
      await client.query('TRUNCATE two');
      const events = await changes();
      expect(events.map((event) => [dataOf(event).op, event.partitionkey])).toEqual([
        ['c', '{"b":"k\\"","A":1}'],
        ['c', '{"b":"x","A":2}'],
        ['u', '{"b":"k\\"","A":1}'],
        ['d', '{"b":"k\\"","A":1}'],
        ['c', '{"b":"k\\"","A":9}'],
        ['d', '{"b":"x","A":2}'],
        ['t', ''],
      ]);
      expect(dataOf(events[3])).toMatchObject({ before: { A: 1, b: 'k"' }, after: null });
      expect(Object.keys(dataOf(events[5]).before).sort()).toEqual(['A', 'b']);
      const orders = events.map((event) => event.order!);
      expect([...orders].sort()).toEqual(orders);
      expect(new Set(events.map((event) => event.id)).size).toBe(events.length);
      expect(dataOf(events[0]).source).toMatchObject({
        connector: 'postgres',
        db: 'postgres',
        schema: 'public',
        table: 'two',
        snapshot: false,
        seq: 0,
        lsn: expect.stringMatching(/^[0-9A-F]+\/[0-9A-F]+$/),
        commit_lsn: expect.any(String),
        xid: expect.any(Number),
      });
    });

    it('names a TOAST value that was not sent, and never says null (trap 14)', async () => {
      await client.query('CREATE TABLE toast(id int PRIMARY KEY, big text, v int)');
      await client.query('ALTER TABLE toast ALTER big SET STORAGE EXTERNAL');
      keys['toast'] = ['id'];
      await client.query("INSERT INTO toast VALUES (1, repeat('x', 20000), 1)");
      await client.query('UPDATE toast SET v = 2');
      await client.query('UPDATE toast SET id = 2');
      const [, update, gone, moved] = await changes();
      expect(dataOf(update)).toMatchObject({ op: 'u', after: { id: 1, v: 2 }, unchanged: ['big'] });
      expect(dataOf(update).after).not.toHaveProperty('big');
      expect([dataOf(gone).op, dataOf(moved).op, dataOf(moved).unchanged]).toEqual(['d', 'c', ['big']]);
    });

    it('a key that is stored out of line is sent with every update, and nothing of the rest of the row (trap 14)', async () => {
      await client.query('CREATE TABLE long_key(a int, id text, n int, big text, PRIMARY KEY (a, id))');
      await client.query('ALTER TABLE long_key ALTER big SET STORAGE EXTERNAL');
      keys['long_key'] = ['a', 'id'];
      const id = (
        await client.query<{ id: string }>("SELECT string_agg(md5(n::text), '') AS id FROM generate_series(1, 70) n")
      ).rows[0]!.id;
      await client.query("INSERT INTO long_key VALUES (1, $1, 1, repeat('b', 20000))", [id]);
      await client.query('UPDATE long_key SET n = 2');
      await client.query('UPDATE long_key SET a = 2');
      const [, update, gone, moved] = await changes();
      expect(dataOf(update)).toMatchObject({ op: 'u', before: null, after: { a: 1, id, n: 2 }, unchanged: ['big'] });
      expect(dataOf(update).after).not.toHaveProperty('big');
      expect(dataOf(gone)).toMatchObject({ op: 'd', before: { a: 1, id } });
      expect(dataOf(moved)).toMatchObject({ op: 'c', after: { a: 2, id, n: 2 }, unchanged: ['big'] });
      expect(JSON.parse(moved!.partitionkey)).toEqual({ a: 2, id });
    });

    it('with REPLICA IDENTITY FULL the key is the primary key, before is the row, nothing is missing (trap 14)', async () => {
      await client.query('CREATE TABLE "full"(id int PRIMARY KEY, big text, v int)');
      await client.query('ALTER TABLE "full" ALTER big SET STORAGE EXTERNAL');
      await client.query('ALTER TABLE "full" REPLICA IDENTITY FULL');
      await client.query(`INSERT INTO "full" VALUES (1, repeat('y', 20000), 1)`);
      await client.query('UPDATE "full" SET v = 2');
      await client.query('DELETE FROM "full"');
      const [insert, update, remove] = await changes();
      expect([insert, update, remove].map((event) => event!.partitionkey)).toEqual([
        '{"id":1}',
        '{"id":1}',
        '{"id":1}',
      ]);
      expect(dataOf(update)).toMatchObject({ before: { v: 1 }, after: { v: 2 }, unchanged: [] });
      expect(dataOf(update).after.big).toHaveLength(20000);
      expect(dataOf(remove).before.big).toHaveLength(20000);
    });

    it('leaves excluded columns out everywhere, keys included', async () => {
      await client.query('CREATE TABLE secretive(id int PRIMARY KEY, hidden text, v text)');
      keys['secretive'] = ['id'];
      await client.query('ALTER TABLE secretive REPLICA IDENTITY FULL');
      await client.query("INSERT INTO secretive VALUES (1, 'canary', 'v')");
      await client.query("UPDATE secretive SET hidden = 'canary2'");
      await client.query('DELETE FROM secretive');
      const events = await changes(newDecoder(['hidden']));
      expect(events).toHaveLength(3);
      expect(events.map((event) => event.data.toString()).join()).not.toContain('canary');
    });

    it('follows a table whose columns change in flight, and rollbacks never show (trap 17)', async () => {
      await client.query('CREATE TABLE shape(id int PRIMARY KEY, v text)');
      keys['shape'] = ['id'];
      await client.query("INSERT INTO shape VALUES (1, 'a')");
      await client.query('ALTER TABLE shape ADD COLUMN w int[] DEFAULT $${1,2}$$');
      await client.query("INSERT INTO shape VALUES (2, 'b', '{3}')");
      await client.query('BEGIN');
      await client.query("INSERT INTO shape VALUES (3, 'never', '{}')");
      await client.query('ROLLBACK');
      await client.query('ALTER TABLE shape DROP COLUMN v');
      await client.query('ALTER TABLE shape ALTER w TYPE text USING w::text');
      await client.query("INSERT INTO shape VALUES (4, 'text')");
      const events = await changes();
      expect(events.map((event) => dataOf(event).after)).toEqual([
        { id: 1, v: 'a' },
        { id: 2, v: 'b', w: [3] },
        { id: 4, w: 'text' },
      ]);
    });

    it('a composite type whose fields change, of which the server sends no word (trap 17)', async () => {
      await client.query('CREATE TYPE spot AS (x int, y int)');
      await client.query('CREATE TABLE map(id int PRIMARY KEY, at spot, path spot[])');
      keys['map'] = ['id'];
      const after = async (into = decoder) => (await changes(into)).map((event) => dataOf(event).after);
      await client.query(`INSERT INTO map VALUES (1, '(1,2)', '{"(3,4)"}')`);
      expect(await after()).toEqual([{ id: 1, at: { x: 1, y: 2 }, path: [{ x: 3, y: 4 }] }]);
      await client.query('ALTER TYPE spot ADD ATTRIBUTE z text');
      await client.query(`INSERT INTO map VALUES (2, '(1,2,c)', '{"(3,4,)"}')`);
      expect(await after()).toEqual([{ id: 2, at: { x: 1, y: 2, z: 'c' }, path: [{ x: 3, y: 4, z: null }] }]);
      await client.query('ALTER TYPE spot DROP ATTRIBUTE x');
      await client.query(`UPDATE map SET id = 3, at = '(8,"a,b")', path = NULL WHERE id = 2`);
      expect(await after()).toEqual([null, { id: 3, at: { y: 8, z: 'a,b' }, path: null }]);
    });

    it('a composite value of a time in between comes as the text that the server has for it', async () => {
      await client.query('CREATE TYPE thing AS (a int, b int)');
      await client.query('CREATE TABLE things(id int PRIMARY KEY, one thing)');
      keys['things'] = ['id'];
      await client.query("INSERT INTO things VALUES (1, '(1,2)')");
      await client.query('ALTER TYPE thing ADD ATTRIBUTE c int');
      expect((await changes()).map((event) => dataOf(event).after)).toEqual([{ id: 1, one: '(1,2)' }]);
    });

    it('refuses a row of a table that was not described (trap 17: relations are per connection)', async () => {
      await client.query("INSERT INTO shape VALUES (5, 'x')");
      const { rows } = await client.query<{ data: string }>(
        "SELECT data::text FROM pg_logical_slot_get_binary_changes('s', NULL, NULL, 'proto_version', '1', 'publication_names', 'p')",
      );
      const insert = rows.map((row) => Buffer.from(row.data.slice(2), 'hex')).find((message) => message[0] === 0x49)!;
      expect(() => newDecoder().feed(insert, 0, 0)).toThrow(/did not describe/);
      expect(() => newDecoder().feed(Buffer.from('Z'), 0, 0)).toThrow(/not known/);
    });
  },
);
