import { StreamError } from '@planasonix/core';
import type { Row, Session } from './session.js';

/** `ER_XAER_RMERR`: MySQL's answer to a user who may not ask. */
const NOT_ALLOWED = 1401;
/** So many are named. */
const SHOWN = 3;
const MOST_REMEMBERED = 1_000;

/** Of those that hold up a start, by server and name: when they were first seen, seconds by the server's clock. */
const seen = new Map<string, number>();

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

/** @throws StreamError `xa_prepared` where one is prepared */
export async function nonePrepared(session: Session): Promise<void> {
  if ((await anyPrepared(session)) === true) throw unseen(await prepared(session));
}

/**
 * Takes a place of the log while commits go on: none is prepared before and none after, and none is committed in between.
 * @throws StreamError `xa_prepared` where it can't be known that no transaction of two phases has its rows before the place
 * and its commit after it
 */
export async function betweenPrepared<T>(session: Session, take: () => Promise<T>): Promise<T> {
  const before = await commits(session);
  await nonePrepared(session);
  const taken = await take();
  await nonePrepared(session);
  if ((await commits(session)) !== before) throw unseen([]);
  return taken;
}

/** How many of two phases were committed, those that are being committed included. */
async function commits(session: Session): Promise<string | null> {
  const [row] = await session.query("SHOW GLOBAL STATUS LIKE 'Com\\_xa\\_commit'");
  return row?.['Value'] ?? null;
}

interface Prepared {
  /** As statements name it: `'order-1'`, `X'01ff',X'02',7`. */
  readonly name: string;
  /** For how long it has been seen, s. */
  readonly seenFor: number;
}

/** @param found none: they are through by now */
function unseen(found: readonly Prepared[]): StreamError {
  const said = found.slice(0, SHOWN).map(({ name, seenFor }) => `${name} (for ${seenFor} s at least)`);
  const more = found.length > SHOWN ? ` and ${found.length - SHOWN} more` : '';
  const [first] = found;
  return first === undefined
    ? new StreamError(
        'xa_prepared',
        'A transaction of two phases (XA) was committed while the start looked for its place.',
      )
    : new StreamError(
        'xa_prepared',
        `Transactions of two phases (XA) are prepared, and nobody sees their rows: ${said.join(', ')}${more}.`,
        { hint: `End each as its coordinator decides: XA COMMIT ${first.name}; or XA ROLLBACK ${first.name}; the start is tried again by itself.` }, // prettier-ignore
      );
}

/** Those that are prepared, the one that was seen first at the head. */
async function prepared(session: Session): Promise<readonly Prepared[]> {
  // Names are bytes, which the two show as text each in its own way.
  const rows = await session.query("XA RECOVER FORMAT = 'SQL'").catch(() => session.query('XA RECOVER CONVERT XID'));
  const [at] = await session.query('SELECT @@hostname AS host, @@port AS port, UNIX_TIMESTAMP() AS now');
  const server = `${at?.['host']}:${at?.['port']} `;
  const now = Number(at?.['now']);
  const names = rows.map(nameOf);
  for (const key of seen.keys())
    if (key.startsWith(server) && !names.includes(key.slice(server.length))) seen.delete(key);
  const found = names.map((name): Prepared => {
    const since = seen.get(server + name) ?? now;
    seen.set(server + name, since);
    // Invariant 6.
    if (seen.size > MOST_REMEMBERED) seen.delete(seen.keys().next().value!);
    return { name, seenFor: Math.max(0, now - since) };
  });
  return found.sort((one, other) => other.seenFor - one.seenFor);
}

/** `data` is a name already in MariaDB; in MySQL both parts of one, `0x6f6e65`, which the lengths tell apart. */
function nameOf(row: Row): string {
  const data = row['data'] ?? '';
  if (!data.startsWith('0x')) return data;
  const bytes = Buffer.from(data.slice(2), 'hex');
  const global = Number(row['gtrid_length']);
  const parts = [bytes.subarray(0, global), bytes.subarray(global)].map(quoted);
  const format = row['formatID'];
  return format === '1' ? (bytes.length > global ? parts.join(',') : parts[0]!) : `${parts.join(',')},${format}`;
}

const quoted = (bytes: Buffer): string => {
  const text = bytes.toString('latin1');
  return /^[\w .:@/-]*$/.test(text) ? `'${text}'` : `X'${bytes.toString('hex')}'`;
};
