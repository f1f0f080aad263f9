import { qualified } from '../identifier.js';
import type { Server } from '../server.js';
import type { Session } from '../session.js';
import { describeTable, type SourceTable } from '../tables.js';

/** `ER_TABLE_DEF_CHANGED`, `ER_LOCK_WAIT_TIMEOUT`, `ER_LOCK_DEADLOCK`: a moment later it can be read. */
const LATER: readonly unknown[] = [1412, 1205, 1213];
const LOCKED = 1205;
export const LATER_MS = 1_000;
/** Why its rows wait then. */
export const BUSY = 'is locked, or its form is being changed: its rows wait for that';

const errnoOf = (error: unknown): unknown => (error as { errno?: unknown }).errno;

/** Whether a table can be read a moment later, in another transaction. */
export const isLater = (error: unknown): boolean => LATER.includes(errnoOf(error));

/** Whether it can be read later in the very transaction: of a form that was changed, or behind a deadlock, never. */
export const isLocked = (error: unknown): boolean => errnoOf(error) === LOCKED;

interface Name {
  readonly schema: string;
  readonly table: string;
}

/** Asks for nothing but whether the table is there and may be read; within a transaction its form is kept from then on. */
export const touch = (session: Session, { schema, table }: Name): Promise<unknown> =>
  session.query(`SELECT 1 FROM ${qualified(schema, table)} LIMIT 0`);

/**
 * One table as it is now. The catalog hides what a user may not read as if it were not there, so that the table itself is
 * asked then. @returns `null`: something else has its name @throws what the server says, also that it is gone
 */
export async function tableNow(session: Session, server: Server, of: Name): Promise<SourceTable | null> {
  const found = await describeTable(session, server, of);
  if (found !== null) return found;
  await touch(session, of);
  return describeTable(session, server, of);
}
