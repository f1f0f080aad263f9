import { StreamError, type Clock } from '@planasonix/core';
import { qualified } from '../identifier.js';
import { logEnd, type LogPlace, type Server } from '../server.js';
import type { Session } from '../session.js';
import { settle, settles } from '../settled.js';
import { isGone } from '../stream-error.js';
import { beginTold } from './consistent.js';
import { isBehind, type Begin } from './row-watch.js';

/** Errors by which a user is told that he may not: for one schema, one table, one column, at all, or where it is hosted. */
const NOT_ALLOWED: readonly unknown[] = [1044, 1142, 1143, 1227, 1045];
/** `ER_LOCK_WAIT_TIMEOUT` */
const BUSY = 1205;
const LOOK_MS = 20;
/** How often it is said what is waited for. */
const SETTLE_MS = 1_000;
/** For how long a moment without commits is looked for. */
const QUIET_MS = 30_000;
/** Writers queue up behind the lock on a table that is waited for. */
const LOCK_S = 2;
const BETWEEN_LOCKS_MS = 1_000;

const INVISIBLE = 'waits for commits that are in the log and not visible yet';
const LOCKED = 'waits for transactions that have written to it, or hold it locked';

export interface ChunkOpening {
  readonly session: Session;
  readonly server: Server;
  readonly clock: Clock;
  /** The table that is about to be read. */
  readonly of: { readonly schema: string; readonly table: string };
  /** Where the transaction begins that was handed over last. */
  readonly delivered: Begin;
  /** Its rows have to be those of one place, and not merely of one moment between two. */
  readonly exact: boolean;
  /** A session that may hold a lock meanwhile. */
  readonly lock: () => Promise<Session>;
  /** Told what is waited for, and `null` once nothing is. */
  readonly waits: (what: string | null) => void;
  /** Nobody wants it any more. */
  readonly ended: () => boolean;
}

/**
 * Begins a transaction that sees everything that was handed over (trap 13), and of the table nothing that was committed
 * behind the place that it returns. No lock, but where the server has neither told places nor GTIDs, or for rows
 * without a key: then on this one table, for no longer than it takes to begin.
 * @returns `null`: nobody wants it any more @throws StreamError `snapshot_failed`, `permission_denied`
 */
export async function beginChunk(opening: ChunkOpening): Promise<LogPlace | null> {
  const { session, server, clock, exact, waits, ended } = opening;
  if (server.flavor === 'mariadb') return beginBehind(opening);
  const gtids = await settles(session);
  if (exact || !gtids) return beginLocked(opening, gtids);
  while (!(await settle(session, clock, SETTLE_MS))) {
    if (ended()) return null;
    waits(INVISIBLE);
  }
  waits(null);
  await begin(session);
  return logEnd(session, server);
}

const begin = (session: Session): Promise<unknown> =>
  session.query('START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY');

/** MariaDB: the transaction says its place; one before what was handed over does not see all of it. */
async function beginBehind({ session, clock, delivered, waits, ended }: ChunkOpening): Promise<LogPlace | null> {
  const since = clock.monotonic();
  while (!ended()) {
    const place = await beginTold(session);
    if (isBehind(place, delivered)) {
      waits(null);
      return place;
    }
    await session.query('ROLLBACK');
    if (clock.monotonic() - since > SETTLE_MS) waits(INVISIBLE);
    await clock.sleep(LOOK_MS);
  }
  return null;
}

/** Who has written to the table, and is not visible, holds it: nobody does while we do. */
async function beginLocked(opening: ChunkOpening, gtids: boolean): Promise<LogPlace | null> {
  const { session, server, of, clock, waits, ended } = opening;
  const lock = await opening.lock();
  await lock.query(`SET SESSION lock_wait_timeout = ${LOCK_S}`);
  while (!ended()) {
    const held = await locked(lock, `LOCK TABLES ${qualified(of.schema, of.table)} READ`);
    if (held === 'denied' && gtids) return beginQuiet(opening);
    const all = held === 'denied' ? await locked(lock, 'FLUSH TABLES WITH READ LOCK') : held;
    if (all === 'denied')
      throw new StreamError('permission_denied', `Rows of ${of.schema}.${of.table} can't be read beside changes.`, {
        hint: 'Grant LOCK TABLES on its schema, or set gtid_mode = ON.',
      });
    try {
      if (all === 'ours') {
        waits(null);
        await begin(session);
        return await logEnd(session, server);
      }
    } finally {
      await lock.query('UNLOCK TABLES');
    }
    waits(LOCKED);
    await clock.sleep(BETWEEN_LOCKS_MS);
  }
  return null;
}

async function locked(lock: Session, sql: string): Promise<'ours' | 'busy' | 'denied'> {
  try {
    await lock.query(sql);
    return 'ours';
  } catch (error) {
    const { errno } = error as { errno?: number };
    if (errno === BUSY) return 'busy';
    if (NOT_ALLOWED.includes(errno)) return 'denied';
    // It is gone: whoever reads it will see.
    if (isGone(error)) return 'ours';
    throw error;
  }
}

/** Without a lock: a moment at which no transaction was on its way into the log or out of it. */
async function beginQuiet({ session, server, of, clock, waits, ended }: ChunkOpening): Promise<LogPlace | null> {
  const ask = (what: string): Promise<string | null> => session.value(`SELECT @@GLOBAL.${what}`);
  const until = clock.monotonic() + QUIET_MS;
  while (!ended()) {
    const before = await ask('gtid_executed');
    const idle = (await ask('gtid_owned')) === '';
    if (idle) {
      await begin(session);
      const place = await logEnd(session, server);
      // In this order: who owns none now has not begun since, or is among the executed.
      if ((await ask('gtid_owned')) === '' && (await ask('gtid_executed')) === before) {
        waits(null);
        return place;
      }
      await session.query('ROLLBACK');
    }
    waits('waits for a moment without commits');
    if (clock.monotonic() > until)
      throw new StreamError('snapshot_failed', `${of.schema}.${of.table} has no key, and commits never rest.`, {
        hint: 'Grant LOCK TABLES on its schema, or give it a primary key; it is tried again.',
      });
    await clock.sleep(LOOK_MS);
  }
  return null;
}
