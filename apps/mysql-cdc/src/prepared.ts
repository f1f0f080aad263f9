import { StreamError } from '@planasonix/core';
import type { Session } from './session.js';

/** `ER_XAER_RMERR`: MySQL's answer to a user who may not ask. */
const NOT_ALLOWED = 1401;

const unseen = (): StreamError =>
  new StreamError('snapshot_failed', 'A transaction of two phases (XA) is prepared, or was under way at the start.', {
    hint: 'XA RECOVER shows it: commit it or roll it back; it is tried again.',
  });

/**
 * Whether transactions of two phases are prepared. The rows of such a one are in the log already, and nobody sees them
 * before it is committed.
 * @returns `null` where the user may not ask
 */
export async function anyPrepared(session: Session): Promise<boolean | null> {
  try {
    return (await session.query('XA RECOVER')).length > 0;
  } catch (error) {
    if ((error as { errno?: number }).errno === NOT_ALLOWED) return null;
    throw error;
  }
}

/** @throws StreamError `snapshot_failed` where one is prepared */
export async function nonePrepared(session: Session): Promise<void> {
  if ((await anyPrepared(session)) === true) throw unseen();
}

/**
 * Takes a place of the log while commits go on: none is prepared before and none after, and none is committed in between.
 * @throws StreamError `snapshot_failed` where it can't be known that no transaction of two phases has its rows before the
 * place and its commit after it
 */
export async function betweenPrepared<T>(session: Session, take: () => Promise<T>): Promise<T> {
  const before = await commits(session);
  await nonePrepared(session);
  const taken = await take();
  await nonePrepared(session);
  if ((await commits(session)) !== before) throw unseen();
  return taken;
}

/** How many of two phases were committed, those that are being committed included. */
async function commits(session: Session): Promise<string | null> {
  const [row] = await session.query("SHOW GLOBAL STATUS LIKE 'Com\\_xa\\_commit'");
  return row?.['Value'] ?? null;
}
