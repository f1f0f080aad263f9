/** One server for a spec, streams of it, and what is asked of a stream at its end. */
import { eventually, type Mysqld, type MysqldOptions } from '@planasonix/testing';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import { connectionOf, dial, type Leg } from '../trial/legs.js';
import { TrialStream, type Data } from '../trial/trial-stream.js';

export interface ServerUnderTest {
  readonly db: Connection;
  readonly server: Mysqld;
  session(): Promise<Connection>;
  stream(config: object, user?: object): TrialStream;
  /** From here on commits are in the log and not visible, until `letCommits`. */
  holdCommits(): Promise<void>;
  letCommits(): Promise<void>;
  /** How many commits wait. */
  held(): Promise<number>;
}

/** To be called in a `describe` of a leg: the server runs from before its first test until after its last. */
export function serverUnderTest({ name, type, start }: Leg, options: MysqldOptions = {}): ServerUnderTest {
  const all = { server: null as Mysqld | null, db: null as Connection | null };
  const streams: TrialStream[] = [];
  const sessions: Connection[] = [];
  const semiSync = name === 'MySQL' ? 'rpl_semi_sync_source' : 'rpl_semi_sync_master';
  beforeAll(async () => {
    all.server = await start(options);
    all.db = await dial(all.server);
    if (name === 'MySQL') await all.db.query("INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'");
    await all.db.query(`SET GLOBAL ${semiSync}_wait_point = AFTER_SYNC, GLOBAL ${semiSync}_timeout = 600000`);
  });
  afterEach(async () => {
    await all.db!.query(`SET GLOBAL ${semiSync}_enabled = OFF`);
    for (const one of streams.splice(0)) await one.stop();
    for (const one of sessions.splice(0)) one.destroy();
  });
  afterAll(async () => {
    await all.db?.end();
    await all.server?.stop();
  });
  const held = async (): Promise<number> => {
    const [rows] = await all.db!.query<RowDataPacket[]>('SHOW PROCESSLIST');
    return rows.filter((row) => /semi-sync ACK/i.test(String(row['State'] ?? ''))).length;
  };
  return {
    get db() {
      return all.db!;
    },
    get server() {
      return all.server!;
    },
    session: async () => {
      const one = await dial(all.server!);
      sessions.push(one);
      return one;
    },
    stream: (of, user = {}) => {
      const one = new TrialStream(`str_${streams.length}_${Date.now()}`, of as Readonly<Record<string, unknown>>, { ...connectionOf(all.server!), ...user }, type); // prettier-ignore
      streams.push(one);
      return one;
    },
    holdCommits: async () => void (await all.db!.query(`SET GLOBAL ${semiSync}_enabled = ON`)),
    letCommits: async () => void (await all.db!.query(`SET GLOBAL ${semiSync}_enabled = OFF`)),
    held,
  };
}

/** Ends the reading at the batch that `at` says, as if the worker were killed before it took that. */
export const killedAt = (at: number) => {
  let left = at;
  return (): void => {
    if (--left < 0) throw new Error('killed');
  };
};

/** Halts the reading at the first batch that comes once it is so, until told to go on. */
export function heldAt(it: () => boolean): readonly [beforeEach: () => Promise<void> | void, goOn: () => void] {
  let goOn = (): void => undefined;
  const free = new Promise<void>((resolve) => (goOn = resolve));
  return [() => (it() ? free : undefined), goOn];
}

/** Ends the reading once it has brought so many rows of a snapshot. */
export const killedAfterRows = (stream: TrialStream, rows: number) => {
  let from = stream.events.length;
  let seen = 0;
  return (): void => {
    for (; from < stream.events.length; from++) if (stream.events[from]!.order === null) seen++;
    if (seen >= rows) throw new Error('killed');
  };
};

/** Rows of a snapshot among the events, by subject. */
export const rowsOf = (stream: TrialStream, subject: string): Data[] =>
  stream.events.flatMap((event) => {
    const data = event.subject === subject ? (JSON.parse(event.data.toString()) as Data) : null;
    return data?.op === 'r' ? [data] : [];
  });

/** What a reader who folds by key has of a table is what the table holds. @param columns as SQL, the first is its key */
export async function expectEqual(stream: TrialStream, db: Connection, table: string, columns: string): Promise<void> {
  const [rows] = await db.query<RowDataPacket[]>(`SELECT ${columns} FROM ${table}`);
  const names = columns.split(', ').map((one) => one.split(' AS ').at(-1)!);
  const plain = (row: Readonly<Record<string, unknown>>): string =>
    JSON.stringify(names.map((name) => String(row[name])));
  const expected = rows.map(plain).sort();
  const got = [...stream.fold()]
    .filter(([at]) => at.startsWith(`${table} `))
    .map(([, text]) => plain(JSON.parse(text) as Record<string, unknown>))
    .sort();
  const [have, want] = [new Set(got), new Set(expected)];
  const lacks = expected.filter((row) => !have.has(row)).slice(0, 5);
  const surplus = got.filter((row) => !want.has(row)).slice(0, 5);
  expect({ lacks, surplus, count: got.length }).toEqual({ lacks: [], surplus: [], count: expected.length });
}

/** Per key, the version that each event tells: rows or changes, it never goes back (trap 13). */
export function expectNeverBack(stream: TrialStream, subject: string): void {
  const last = new Map<string, number>();
  for (const event of stream.events) {
    if (event.subject !== subject) continue;
    const { op, after } = JSON.parse(event.data.toString()) as { op: string; after: { v: number } | null };
    if (op === 't') last.clear();
    if (after === null) continue;
    const before = last.get(event.partitionkey) ?? -1;
    if (after.v < before)
      throw new Error(`${event.partitionkey}: ${op} ${event.id} tells version ${after.v} after ${before}`);
    last.set(event.partitionkey, after.v);
  }
}

export function expectUniqueIds(stream: TrialStream): void {
  const ids = stream.events.map((event) => event.id);
  expect(new Set(ids).size).toBe(ids.length);
}

/** Marks the end of what was written, and waits until the log has it. The stream reads `m.marks`. */
export async function settle(stream: TrialStream, db: Connection): Promise<void> {
  const mark = `mark-${Math.random().toString(36).slice(2)}`;
  await db.query('INSERT INTO m.marks VALUES (?)', [mark]);
  await stream.seen(mark);
}

export const MARKS = 'CREATE DATABASE IF NOT EXISTS m; CREATE TABLE IF NOT EXISTS m.marks (m VARCHAR(40) PRIMARY KEY)';

/** Waits until something that is held back is in the log and waits there. */
export const untilHeld = (of: ServerUnderTest, count = 1): Promise<unknown> =>
  eventually('the commit waits for a replica', async () => (await of.held()) >= count);

/** Rows of a table, written many at once. @param row values of the n-th, as SQL */
export async function fill(db: Connection, table: string, count: number, row: (n: number) => string): Promise<void> {
  for (let from = 0; from < count; from += 5000) {
    const some = Array.from({ length: Math.min(5000, count - from) }, (_, i) => `(${row(from + i + 1)})`);
    await db.query(`INSERT INTO ${table} VALUES ${some.join(',')}`);
  }
  await db.query(`ANALYZE TABLE ${table}`);
}
