import type { Check } from '@planasonix/core';
import { quoteIdent, qualified } from './identifier.js';
import { info, warned } from './finding.js';
import { denied, logRights, tried } from './log-rights.js';
import type { PreflightDeps } from './preflight.js';
import { anyPrepared, nonePrepared } from './prepared.js';
import { userOf, type Server } from './server.js';
import type { Session } from './session.js';
import { settles } from './settled.js';
import { toStreamError } from './stream-error.js';
import { describeTable, type SourceTable } from './tables.js';

export interface RightsInput extends Omit<PreflightDeps, 'isNew' | 'before' | 'asked' | 'streamId'> {
  readonly server: Server;
  readonly tables: readonly SourceTable[];
  /** There is a log that could be read. */
  readonly logged: boolean;
}

/** How many tables are tried. */
const TABLES = 200;
/** `ER_BAD_FIELD_ERROR`, `ER_NO_SUCH_TABLE`, `ER_TABLE_DEF_CHANGED` */
const OTHER_FORM: readonly unknown[] = [1054, 1146, 1412];
/** How often a table is described anew. */
const TRIES = 5;

/** What a user may do is tried, not read from its grants: roles and wildcards give rights that no list of ours would find. */
export async function rightsChecks(input: RightsInput): Promise<Check[]> {
  const { control, server, config, logged } = input;
  const { name, to } = await userOf(control);
  const checks: Check[] = logged ? [...(await logRights(input))] : [];
  for (const table of input.tables.slice(0, TABLES)) {
    const of = qualified(table.schema, table.table);
    checks.push(
      ...(await tried(
        () => readsTable(input, table),
        denied(`read ${table.schema}.${table.table}`, `GRANT SELECT ON ${of} TO ${to};`),
      )),
    );
  }
  const snapshots = server.flavor === 'mysql' && config.snapshot !== 'never';
  if (snapshots && !(await mayLock(input)) && !(await settles(control)))
    checks.push(
      denied(
        'hold still a table while the place of its rows is read',
        `GRANT ${config.snapshot === 'only' ? 'RELOAD' : 'LOCK TABLES'} ON *.* TO ${to};`,
      ),
    );
  checks.push(...(await preparedCheck(control, to)));
  if (checks.every(({ severity }) => severity !== 'error'))
    checks.push(info('privileges', `${name} may read the log and the tables.`));
  return checks;
}

/** Transactions of two phases that are prepared hold up a start, which is tried again by itself. */
async function preparedCheck(control: Session, to: string): Promise<Check[]> {
  if ((await anyPrepared(control)) === null) {
    const lost =
      'The user may not ask for prepared transactions of two phases (XA): changes of one that is prepared before the start and committed after it would be missing.';
    return [warned('xa_unsupported', lost, `GRANT XA_RECOVER_ADMIN ON *.* TO ${to};`)];
  }
  try {
    await nonePrepared(control);
    return [];
  } catch (error) {
    const { code, message, hint } = toStreamError(error, 'checking the source');
    return [warned(code, message, hint)];
  }
}

/** Where a user has roles, only the server knows what they amount to: the start will tell. */
async function mayLock({ control, config }: RightsInput): Promise<boolean> {
  const grants = (await control.query('SHOW GRANTS')).map((row) => Object.values(row)[0] ?? '');
  const one = config.snapshot === 'only' ? null : /\b(LOCK TABLES|ALL PRIVILEGES)\b.* ON /;
  const all = /\b(RELOAD|FLUSH_TABLES|ALL PRIVILEGES)\b.* ON \*\.\*/;
  return grants.some((text) => all.test(text) || one?.test(text) === true || !/ ON /.test(text));
}

/** Asks for its columns, and no rows. One that was altered since it was described is described anew; one that is gone is no matter of rights. */
async function readsTable({ control, server, excludedOf }: RightsInput, described: SourceTable): Promise<void> {
  let table: SourceTable | null = described;
  for (let left = TRIES; table !== null; left--) {
    const { schema, table: name, columns }: SourceTable = table;
    const excluded = excludedOf(schema, name);
    const list = columns.filter((one) => !excluded.has(one.name.toLowerCase())).map((one) => quoteIdent(one.name));
    try {
      await control.query(
        `SELECT ${list.length === 0 ? '1' : list.join(', ')} FROM ${qualified(schema, name)} LIMIT 0`,
      );
      return;
    } catch (error) {
      if (left === 0 || !OTHER_FORM.includes((error as { errno?: unknown }).errno)) throw error;
    }
    table = await describeTable(control, server, described);
  }
}
