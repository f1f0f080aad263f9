import { type Clock, StreamError } from '@planasonix/core';
import { betweenPrepared, nonePrepared } from '../prepared.js';
import { logEnd, type LogPlace, type Server } from '../server.js';
import type { Session } from '../session.js';
import { settle, settles } from '../settled.js';

/** `ER_SPECIFIC_ACCESS_DENIED_ERROR`; `ER_ACCESS_DENIED_ERROR` where it is hosted and nobody may take the lock. */
const NOT_ALLOWED: readonly unknown[] = [1227, 1045];
/** For how long commits are waited for that are in the log and not visible. */
const SETTLE_MS = 30_000;

/**
 * Begins a transaction that sees the tables as they were at one place of the log. MariaDB says that place itself. MySQL is
 * asked for it under a lock on all tables, which is held for no longer than these questions take (10 s are waited for it at
 * the most); for a user who may not take that lock the place is one that is settled. No transaction of two phases has its
 * rows before the place and its commit after it, as far as the user may ask for these.
 * @throws StreamError `snapshot_failed`
 */
export async function beginConsistent(session: Session, server: Server, clock: Clock): Promise<LogPlace> {
  if (server.flavor === 'mariadb') return betweenPrepared(session, () => beginTold(session));
  try {
    await session.query('FLUSH TABLES WITH READ LOCK');
  } catch (error) {
    if (!NOT_ALLOWED.includes((error as { errno?: number }).errno) || !(await settles(session))) throw error;
    return beginSettled(session, server, clock);
  }
  try {
    await session.query('START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY');
    const place = await logEnd(session, server);
    await nonePrepared(session);
    return place;
  } finally {
    await session.query('UNLOCK TABLES');
  }
}

/** MariaDB: the transaction says its place. */
export async function beginTold(session: Session): Promise<LogPlace> {
  await session.query('START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY');
  const rows = await session.query("SHOW STATUS LIKE 'binlog\\_snapshot\\_%'");
  const status = new Map(rows.map((row) => [row['Variable_name'], row['Value']]));
  const file = status.get('Binlog_snapshot_file');
  if (!file)
    throw new StreamError('snapshot_failed', 'The server does not say at which place of its log the snapshot is.');
  return { file, pos: Number(status.get('Binlog_snapshot_position')) };
}

/** Without a lock: everything before the place is seen, and what else is seen comes once more as changes (trap 13). */
async function beginSettled(session: Session, server: Server, clock: Clock): Promise<LogPlace> {
  const place = await logEnd(session, server);
  if (!(await settle(session, clock, SETTLE_MS)))
    throw new StreamError('snapshot_failed', 'Commits in the log have not become visible for half a minute.', {
      hint: 'Look for commits that wait for a replica or a lock; it is tried again.',
    });
  await nonePrepared(session);
  await session.query('START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY');
  return place;
}
