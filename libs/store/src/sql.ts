import { DataSource, type EntityManager } from 'typeorm';

export type Db = DataSource | EntityManager;

/** Runs one statement with bound parameters; the rows it returns, also for UPDATE … RETURNING. */
export async function sql<T = Record<string, unknown>>(
  db: Db,
  text: string,
  params: readonly unknown[] = [],
): Promise<T[]> {
  if (!(db instanceof DataSource)) return records<T>(await db.queryRunner!.query(text, [...params], true));
  const runner = db.createQueryRunner();
  try {
    return records<T>(await runner.query(text, [...params], true));
  } finally {
    await runner.release();
  }
}

const records = <T>(result: { records?: unknown[] }): T[] => (result.records ?? []) as T[];
