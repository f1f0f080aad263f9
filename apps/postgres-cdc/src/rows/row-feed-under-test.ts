import { type ChangeEvent, type Clock, type ConnectionSettings, systemClock, Waker } from '@planasonix/core';
import { startPostgres, type Postgres } from '@planasonix/testing';
import type { Client } from 'pg';
import { parseConfig } from '../config.js';
import { TypeCatalog, type GateSlot, type WrittenChange } from '../decode/index.js';
import { endSession } from '../end-session.js';
import { openSession } from '../session.js';
import { RowFeed } from './row-feed.js';
import type { RowTask } from './row-task.js';

const EVERYTHING = 2n ** 64n;

/** Its one reader pauses at `pause` behind each chunk, which is of 20,000 rows. */
export const PAUSING = { snapshot_readers: 1, snapshot_max_rows_per_second: 40_000 };
/** For how long it says that it would, or a little less: a chunk that was broken off is paid for in part. */
const PAUSE_MS = { least: 200, most: 500 };
/** How often a reader looks whether its chunk is of use yet. */
const LOOK_MS = 1000;
/** What a reader sleeps before it asks once more. */
const RETRY_MS = 100;

/** Whoever comes by waits until it is opened, or lets through who waits. */
function door() {
  let open: () => void = () => undefined;
  const shut = (): Promise<void> => new Promise((resolve) => (open = resolve));
  let opened = shut();
  const here = {
    waiting: 0,
    open: () => open(),
    letThrough: () => {
      open();
      opened = shut();
    },
    pass: () => (here.waiting++, opened.then(() => true)),
  };
  return here;
}

/** A `RowFeed` over a real server, for a suite; of the stream there is only what a test says that it has delivered. */
export function rowFeedUnderTest() {
  let server: Postgres;
  let client: Client;
  const ends: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    server = await startPostgres({ version: 17 });
    client = await server.connect();
  });
  afterEach(async () => {
    for (const end of ends.splice(0)) await end();
  });
  afterAll(() => server?.stop('immediate'));

  const query = <T extends object>(text: string, values: readonly unknown[] = []) => client.query<T>(text, [...values]);

  const table = async (name: string, rows: number, filler: string): Promise<number> => {
    await client.query(`CREATE TABLE ${name} (id int PRIMARY KEY, v text);
      INSERT INTO ${name} SELECT i, '${filler}' FROM generate_series(1, ${rows}) i; ANALYZE ${name}`);
    const { rows: found } = await client.query<{ oid: number }>(`SELECT '${name}'::regclass::oid::int AS oid`);
    return found[0]!.oid;
  };

  const session = (): Promise<Client> => {
    const { port, password } = server;
    const config = { host: '127.0.0.1', port, database: 'postgres', user: 'postgres', password, sslMode: 'disable' };
    const connection: ConnectionSettings = { id: 'conn_1', type: 'postgres', config };
    return openSession(connection, { resolve: (host) => Promise.resolve(host) }, { name: 'rows' });
  };

  async function reading(config: object) {
    const [pause, cut] = [door(), door()];
    const slots = new Map<number, GateSlot>();
    const slotOf = (oid: number) => slots.get(oid) ?? slots.set(oid, { gate: null }).get(oid)!;
    const control = await session();
    const ask = control.query.bind(control) as (...args: unknown[]) => Promise<unknown>;
    const slowed = async (...args: unknown[]): Promise<unknown> => {
      if (String(args[0]).includes('TABLESAMPLE')) await cut.pass();
      return ask(...args);
    };
    const seen = { events: [] as ChangeEvent[], refused: [] as string[], renamed: [] as string[], retries: 0 };
    let now = 0;
    const clock: Clock = {
      ...systemClock,
      // Only sleep takes time: however slow this machine is, a rate is never kept by itself.
      monotonic: () => now,
      sleep: async (ms, signal) => {
        if (ms === RETRY_MS) seen.retries++;
        // Nobody looks now and then: who stops reading has been told to.
        if (ms === LOOK_MS) return new Promise((resolve) => signal!.addEventListener('abort', () => resolve(false)));
        if (ms > PAUSE_MS.most) return systemClock.sleep(ms, signal);
        const slept = await (ms < PAUSE_MS.least ? systemClock.sleep(ms, signal) : pause.pass());
        now += ms;
        return slept;
      },
    };
    const quiet = () => undefined;
    const feed = new RowFeed({
      ...{ catalog: new TypeCatalog(), database: 'postgres', clock, waker: new Waker(), slotOf },
      config: parseConfig({ tables: ['public.*'], ...config }),
      ...{ open: session, end: endSession, excludedOf: () => new Set<string>(), alone: false, exported: null },
      obeys: null,
      control: () => Promise.resolve(Object.assign(control, { query: slowed as unknown as Client['query'] })),
      log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
      refuse: (order, why) => void seen.refused.push(`${order}: ${why}`),
      rekeyed: () => undefined,
      renamed: (_, { schema, table: to }) => void seen.renamed.push(`${schema}.${to}`),
    });
    ends.push(async () => {
      for (const one of [pause, cut]) one.open();
      await feed.close();
      await endSession(control);
    });
    return {
      ...{ feed, pause, cut, seen },
      order: (oid: number, name: string, id: string, empties = false): RowTask => {
        feed.add({ oid, schema: 'public', name, order: id, where: null, id, empties, keyless: false });
        if (feed.all.length === 1) feed.start();
        return feed.all.at(-1)!;
      },
      says: (oid: number, change: Partial<WrittenChange> & Pick<WrittenChange, 'xid' | 'key'>): void =>
        slotOf(oid).gate!.wrote({
          subject: 'public.t',
          op: 'u',
          commitLsn: 1n,
          moved: false,
          hole: null,
          by: [{ name: 'id', typeOid: 23 }],
          ...change,
        }),
      /** Takes whatever may enter the log. @returns the keys that rows have come of. */
      take: (): Set<string> => {
        for (let batch = feed.take(EVERYTHING, { lsn: 1n }); batch; batch = feed.take(EVERYTHING, { lsn: 1n }))
          seen.events.push(...batch.events);
        return new Set(seen.events.map((event) => event.partitionkey));
      },
    };
  }

  /** A transaction that has written, and its number. */
  const writing = async (text: string, by: Client = client): Promise<number> => {
    await by.query('BEGIN');
    await by.query(text);
    const { rows } = await by.query<{ xid: string }>('SELECT pg_current_xact_id()::text AS xid');
    return Number(rows[0]!.xid);
  };

  /** Readers that have a transaction open. */
  const atOnce = async (): Promise<number> => {
    const { rows } = await client.query<{ n: number }>(
      "SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'rows' AND xact_start IS NOT NULL",
    );
    return rows[0]!.n;
  };

  return { table, session, reading, writing, ends, query, atOnce, connect: () => server.connect() };
}
