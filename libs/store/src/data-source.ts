import { setTimeout as wait } from 'node:timers/promises';
import { DataSource, QueryFailedError } from 'typeorm';
import type { Log } from '@planasonix/core';
import { ENTITIES } from './entities.js';
import { ConfigRevision1764300000000 } from './migrations/1764300000000-config-revision.js';
import { DepartedLogs1764320000000 } from './migrations/1764320000000-departed-logs.js';
import { GivenUpAt1764330000000 } from './migrations/1764330000000-given-up-at.js';
import { Initial1763900000000 } from './migrations/1763900000000-initial.js';
import { OrdersAndPositions1764000000000 } from './migrations/1764000000000-orders-and-positions.js';
import { PositionWanted1764200000000 } from './migrations/1764200000000-position-wanted.js';
import { ProbeNumbers1764100000000 } from './migrations/1764100000000-probe-numbers.js';
import { UnconfirmedStops1764310000000 } from './migrations/1764310000000-unconfirmed-stops.js';
import { SetAside1764340000000 } from './migrations/1764340000000-set-aside.js';
import { ShownPrefix1764370000000 } from './migrations/1764370000000-shown-prefix.js';
import { CommitNumbers1764410000000 } from './migrations/1764410000000-commit-numbers.js';
import { StreamHelpers1764400000000 } from './migrations/1764400000000-stream-helpers.js';
import { sql } from './sql.js';
import { StoreClient } from './store-client.js';

/** What a request waits for at the most before the store counts as down. */
const CONNECT_MS = 1200;
const QUERY_MS = 1900;
/**
 * A transaction in which nothing is asked for this long was begun by a process that is frozen, or that can't be heard any more. The
 * server would keep the rows that it has locked: without an end, or for the two hours after which TCP asks.
 */
const IDLE_IN_TRANSACTION_MS = 5_000;
const MIGRATION_LOCK = 7_205_759;

export interface OpenStoreOptions {
  readonly log: Log;
  /** Connections at the most; default 10. */
  readonly poolSize?: number;
  /** What a query may take; default 1.9 s, within the wait of a request. */
  readonly answerMs?: number;
  /** How long to go on trying at boot, milliseconds; default 60 s. */
  readonly patienceMs?: number;
}

/** Connects (and goes on trying for a while), brings the schema up to date, and answers the data source. */
export async function openStore(url: string, options: OpenStoreOptions): Promise<DataSource> {
  const store = new DataSource({
    type: 'postgres',
    url,
    entities: ENTITIES,
    migrations: [
      Initial1763900000000,
      OrdersAndPositions1764000000000,
      ProbeNumbers1764100000000,
      PositionWanted1764200000000,
      ConfigRevision1764300000000,
      UnconfirmedStops1764310000000,
      DepartedLogs1764320000000,
      GivenUpAt1764330000000,
      SetAside1764340000000,
      ShownPrefix1764370000000,
      StreamHelpers1764400000000,
      CommitNumbers1764410000000,
    ],
    migrationsTransactionMode: 'each',
    connectTimeoutMS: CONNECT_MS,
    // A connection that breaks while it is idle is replaced by the next query; without a handler it would end us.
    poolErrorHandler: () => options.log.warn({}, 'a connection to the store broke'),
    extra: {
      Client: StoreClient,
      max: options.poolSize ?? 10,
      connectionTimeoutMillis: CONNECT_MS,
      query_timeout: options.answerMs ?? QUERY_MS,
      statement_timeout: 10_000,
      idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
      keepAlive: true,
    },
  });
  const deadline = performance.now() + (options.patienceMs ?? 60_000);
  for (let told = false; ;) {
    try {
      if (!store.isInitialized) await store.initialize();
      await migrate(store, deadline);
      return store;
    } catch (error) {
      if (!isStoreDown(error) || performance.now() > deadline) {
        await store.destroy().catch(() => undefined);
        throw error;
      }
      if (!told) options.log.warn({}, 'waiting for the Postgres of DATABASE_URL');
      told = true;
      await wait(250);
    }
  }
}

/** Several apps boot at once: one of them migrates, the others wait for it, but not for ever. */
async function migrate(store: DataSource, deadline: number): Promise<void> {
  const runner = store.createQueryRunner();
  const ask = async (what: string) => (await sql<{ got: boolean }>(runner.manager, what, [MIGRATION_LOCK]))[0]?.got;
  try {
    while (!(await ask('SELECT pg_try_advisory_lock($1) AS got'))) {
      if (performance.now() > deadline) throw new Error('Another app has been migrating the store for too long.');
      await wait(50);
    }
    try {
      await store.runMigrations();
    } finally {
      // The lock is the session's, and that goes back to the pool. Where it is broken, the lock went with it.
      await ask('SELECT pg_advisory_unlock($1) AS got').catch(() => undefined);
    }
  } finally {
    await runner.release();
  }
}

/** SQLSTATE classes and driver codes that mean "no answer from the store", as against "the store said no". */
const DOWN_STATES = /^(08|57P0|53300|25006|25P03)/;
const DOWN_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EHOSTUNREACH',
  'EAI_AGAIN',
]);
const DOWN_WORDS =
  /timeout|Connection terminated|Client has encountered a connection error|not queryable|already released|Driver not Connected|the database system is/i;

/** Whether an error means that the store can't be reached, so that the answer is 503 and not a fault of ours. */
export function isStoreDown(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false;
  const inner = (error instanceof QueryFailedError ? error.driverError : error) as {
    code?: string;
    message?: string;
    errors?: unknown[];
  };
  if (inner.code !== undefined && (DOWN_STATES.test(inner.code) || DOWN_CODES.has(inner.code))) return true;
  if (inner.errors?.some((one) => isStoreDown(one))) return true;
  // node-postgres gives these no code: the one adapter that has to read words.
  return inner.code === undefined && DOWN_WORDS.test(inner.message ?? '');
}

/** Whether an error is the violation of a constraint, by SQLSTATE. */
export const violates = (error: unknown, kind: 'unique' | 'foreign_key'): boolean =>
  error instanceof QueryFailedError &&
  (error.driverError as { code?: string }).code === (kind === 'unique' ? '23505' : '23503');
