import { startPostgres, type Postgres } from '@planasonix/testing';
import type { Client } from 'pg';
import { publicationTables } from './publication.js';

jest.setTimeout(120_000);

describe.each([14, 15, 16, 17, 18] as const)('Postgres %i: which tables a publication publishes', (version) => {
  let server: Postgres;
  let client: Client;

  beforeAll(async () => {
    server = await startPostgres({ version });
    client = await server.connect();
    await client.query(`CREATE SCHEMA other; CREATE SCHEMA empty;
      CREATE TABLE plain (id int PRIMARY KEY); CREATE TABLE other.plain (id int PRIMARY KEY); CREATE UNLOGGED TABLE fleeting (id int);
      CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child () INHERITS (parent);
      CREATE TABLE root (id int, at int) PARTITION BY RANGE (id);
      CREATE TABLE root_low PARTITION OF root FOR VALUES FROM (0) TO (10);
      CREATE TABLE other.root_high PARTITION OF root FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (at);
      CREATE TABLE root_high_a PARTITION OF other.root_high FOR VALUES FROM (0) TO (5)`);
  }, 60_000);
  afterAll(async () => {
    await client?.end();
    await server?.stop('immediate');
  });

  const KINDS = [
    'FOR ALL TABLES',
    '',
    'FOR TABLE plain, parent',
    'FOR TABLE root',
    'FOR TABLE root, other.root_high, root_low',
  ];
  const SCHEMAS = ['FOR TABLES IN SCHEMA other', 'FOR TABLE root, TABLES IN SCHEMA other, empty'];

  it.each(version >= 15 ? [...KINDS, ...SCHEMAS] : KINDS)(
    '"%s": what the server says, without waiting for a lock',
    async (kind) => {
      for (const viaRoot of [true, false]) {
        await client.query(`CREATE PUBLICATION pub ${kind} WITH (publish_via_partition_root = ${viaRoot})`);
        const { rows } = await client.query(
          "SELECT DISTINCT schemaname AS schema, tablename AS table FROM pg_publication_tables WHERE pubname = 'pub' ORDER BY 1, 2",
        );
        const holder = await server.connect();
        await holder.query('BEGIN; LOCK TABLE plain, root, root_low IN ACCESS EXCLUSIVE MODE');
        const found = [...(await publicationTables(client, 'pub'))];
        await holder.end();
        found.sort((a, b) => (`${a.schema}.${a.table}` < `${b.schema}.${b.table}` ? -1 : 1));
        expect({ viaRoot, found }).toEqual({ viaRoot, found: rows });
        await client.query('DROP PUBLICATION pub');
      }
      expect(await publicationTables(client, 'nowhere')).toEqual([]);
    },
  );
});
