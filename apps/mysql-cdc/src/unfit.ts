import type { StreamErrorCode } from '@planasonix/core';
import type { SourceTable } from './tables.js';

/** Why rows of a table can't be told exactly, and what mends it. */
export interface Unfit {
  readonly code: StreamErrorCode;
  readonly message: string;
  readonly fix: string;
}

const LEAVE_OUT = 'Leave the table out with exclude_tables.';

/** What this version does not read, table by table: said before the start, and an error when it is met later. */
export function unfitReasons(table: SourceTable): readonly Unfit[] {
  const name = `${table.schema}.${table.table}`;
  const found: Unfit[] = [];
  const say = (what: string): void =>
    void found.push({ code: 'event_unsupported', message: `${name} ${what}.`, fix: LEAVE_OUT });
  if (table.form === 'SYSTEM VERSIONED')
    say('keeps old versions of its rows (WITH SYSTEM VERSIONING), which is not supported');
  else if (table.form !== 'BASE TABLE') say(`is a ${table.form.toLowerCase()} and no table`);
  for (const { name: column, declared } of table.columns)
    if (/\bCOMPRESSED\b/i.test(declared)) say(`has the compressed column ${column}, which is not supported`);
  return found;
}
