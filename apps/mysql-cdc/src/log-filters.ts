import { StreamError } from '@planasonix/core';
import { MEANWHILE } from './replicated.js';
import { logStatusSql, type Server } from './server.js';
import { answerTo, type Session } from './session.js';

type InSchema = { readonly schema: string };

const FIX = 'Take the database out of binlog_ignore_db, or add it to binlog_do_db, and restart the server.';
const message = (schema: string): string => `The server does not log changes of ${schema}.`;

/** What the server leaves out of its log (binlog_do_db, binlog_ignore_db). */
export interface LeftOut {
  readonly code: 'offset_gap' | 'binlog_format_unsupported';
  readonly message: string;
  readonly fix: string;
}

/**
 * Schemas of tables whose changes are not logged. Where the user may not ask, none. @throws StreamError where the server can't be asked
 *
 * @param had tables of which a stream that goes on has read changes: those of meanwhile are missing also once they are logged
 *   again (Invariant 2)
 */
export async function leftOut(
  session: Session,
  server: Server,
  tables: readonly InSchema[],
  had: readonly InSchema[],
): Promise<readonly LeftOut[]> {
  const answer = await answerTo(session, logStatusSql(server));
  const [row] = answer instanceof StreamError ? [] : answer;
  const list = (text: string | null | undefined): string[] => (text ? text.split(',') : []);
  const [only, never] = [list(row?.['Binlog_Do_DB']), list(row?.['Binlog_Ignore_DB'])];
  const isOut = (schema: string) => never.includes(schema) || (only.length > 0 && !only.includes(schema));
  return [...new Set(tables.map(({ schema }) => schema))]
    .filter(isOut)
    .map((schema) =>
      had.some((one) => one.schema === schema)
        ? { code: 'offset_gap', message: message(schema), fix: FIX + MEANWHILE }
        : { code: 'binlog_format_unsupported', message: message(schema), fix: FIX },
    );
}

/** @throws StreamError where changes of some tables would never come, or are missing */
export async function refuseLeftOut(...of: Parameters<typeof leftOut>): Promise<void> {
  const found = await leftOut(...of);
  const first = found.find(({ code }) => code === 'offset_gap') ?? found[0];
  if (first) throw new StreamError(first.code, first.message, { hint: first.fix });
}
