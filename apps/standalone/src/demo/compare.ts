import type { Client } from 'pg';

export interface TableComparison {
  readonly table: string;
  readonly inSource: number;
  readonly inLog: number;
  /** Rows of the source that the log does not have in just this form, and the other way round. */
  readonly missing: number;
  readonly extra: number;
  /** Where they differ: the first such row of each side. */
  readonly examples: readonly string[];
}

type Counts = Record<'source' | 'log' | 'missing' | 'extra', string> & Record<'onlySource' | 'onlyLog', string | null>;

/**
 * Compares the folded log with the source's tables, row by row and digit by digit. The server does it: both sides are
 * its own text of a `jsonb` value, which keeps the scale of a number (1.10 is not 1.1).
 *
 * @param rows table (`schema.name`) → JSON texts of its rows
 */
export async function compareWithSource(
  source: Client,
  tables: readonly string[],
  rows: ReadonlyMap<string, readonly string[]>,
): Promise<TableComparison[]> {
  await source.query('CREATE TEMPORARY TABLE folded (name text, content text)');
  const found: TableComparison[] = [];
  for (const table of tables) {
    const texts = rows.get(table) ?? [];
    for (let at = 0; at < texts.length; at += 500)
      await source.query('INSERT INTO folded SELECT $1, unnest($2::jsonb[])::text', [table, texts.slice(at, at + 500)]);
    const { rows: answer } = await source.query<Counts>(
      `WITH source AS (SELECT to_jsonb(t)::text AS content FROM ${table} t),
            log AS (SELECT content FROM folded WHERE name = $1)
       SELECT (SELECT count(*) FROM source) AS source, (SELECT count(*) FROM log) AS log,
              (SELECT count(*) FROM (TABLE source EXCEPT ALL TABLE log) m) AS missing,
              (SELECT count(*) FROM (TABLE log EXCEPT ALL TABLE source) e) AS extra,
              (SELECT min(content) FROM (TABLE source EXCEPT ALL TABLE log) m) AS "onlySource",
              (SELECT min(content) FROM (TABLE log EXCEPT ALL TABLE source) e) AS "onlyLog"`,
      [table],
    );
    const counts = answer[0]!;
    found.push({
      table,
      inSource: Number(counts.source),
      inLog: Number(counts.log),
      missing: Number(counts.missing),
      extra: Number(counts.extra),
      examples: [
        ...(counts.onlySource === null ? [] : [`source ${counts.onlySource}`]),
        ...(counts.onlyLog === null ? [] : [`log    ${counts.onlyLog}`]),
      ],
    });
  }
  return found;
}

/** The same of two lists of row texts. */
export function compareTexts(table: string, source: readonly string[], log: readonly string[]): TableComparison {
  const left = new Map<string, number>();
  for (const row of source) left.set(row, (left.get(row) ?? 0) + 1);
  const extra: string[] = [];
  for (const row of log) {
    const count = left.get(row) ?? 0;
    if (count === 0) extra.push(row);
    else if (count === 1) left.delete(row);
    else left.set(row, count - 1);
  }
  const missing = [...left.values()].reduce((sum, count) => sum + count, 0);
  const examples = [
    ...[...left.keys()].slice(0, 1).map((row) => `source ${row}`),
    ...extra.slice(0, 1).map((row) => `log    ${row}`),
  ];
  return { table, inSource: source.length, inLog: log.length, missing, extra: extra.length, examples };
}

export const isEqual = ({ inSource, inLog, missing, extra }: TableComparison): boolean =>
  inSource === inLog && missing === 0 && extra === 0;
