/** (f) to (h): the drain with other tables: many small ones, rows of 200 columns, values of 1 MiB. */
import { drainBacklog } from './backlog.js';
import { rows, TABLE, type Scene } from './scene.js';

const TABLES = 200;
const PER_TABLE = 1_500;
/** One row of each of so many tables in a transaction: neighbours in the log have no table in common. */
const TABLES_A_TRANSACTION = 20;

export async function tables(scene: Scene): Promise<object> {
  const names = Array.from({ length: TABLES }, (_, i) => `t${i}`);
  for (const name of names) await scene.source.query(`CREATE TABLE ${name} ${TABLE}`);
  const transactions = [];
  for (let i = 0; i < TABLES; i += TABLES_A_TRANSACTION)
    transactions.push(
      `${names
        .slice(i, i + TABLES_A_TRANSACTION)
        .map((name) => rows(name, 'at', 'at'))
        .join(';')}; COMMIT;`,
    );
  const found = await drainBacklog(scene, {
    part: 'tables',
    tables: names.map((name) => `public.${name}`),
    rows: TABLES * PER_TABLE,
    fill: `WHILE at <= ${PER_TABLE} LOOP ${transactions.join(' ')} at := at + 1; END LOOP;`,
  });
  return { ...found, tables: TABLES };
}

const COLUMNS = 200;
const WIDE_ROWS = 30_000;
const KINDS = [
  { type: 'integer', value: 'i' },
  { type: 'text', value: "'v' || i" },
  { type: 'numeric(12,2)', value: 'i / 100.0' },
  { type: 'timestamptz', value: "'2026-01-01 00:00:00+00'::timestamptz + i * interval '1 second'" },
  { type: 'boolean', value: 'i % 2 = 0' },
];

export async function wide(scene: Scene): Promise<object> {
  const kinds = Array.from({ length: COLUMNS - 1 }, (_, i) => KINDS[i % KINDS.length]!);
  await scene.source.query(
    `CREATE TABLE wide (id bigint PRIMARY KEY, ${kinds.map(({ type }, i) => `column_${i} ${type}`).join(', ')})`,
  );
  const found = await drainBacklog(scene, {
    part: 'wide',
    tables: ['public.wide'],
    rows: WIDE_ROWS,
    fill: `WHILE at <= ${WIDE_ROWS} LOOP
      INSERT INTO wide SELECT i, ${kinds.map(({ value }) => value).join(', ')} FROM generate_series(at, at + 99) AS i;
      COMMIT; at := at + 100; END LOOP;`,
  });
  return { ...found, columns: COLUMNS };
}

const VALUES = 400;

export async function values(scene: Scene): Promise<object> {
  // EXTERNAL: not compressed, as pictures and documents are.
  await scene.source.query('CREATE TABLE big_values (id bigint PRIMARY KEY, body text STORAGE EXTERNAL)');
  const found = await drainBacklog(scene, {
    part: 'values',
    tables: ['public.big_values'],
    rows: VALUES,
    fill: `WHILE at <= ${VALUES} LOOP
      INSERT INTO big_values VALUES (at, repeat(md5(at::text), 32768)); COMMIT; at := at + 1; END LOOP;`,
  });
  return { ...found, value_mib: 1 };
}
