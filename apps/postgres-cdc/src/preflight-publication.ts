import type { Check } from '@planasonix/core';
import { qualified, quoteIdent } from './identifier.js';
import type { ServerFacts } from './preflight-server.js';
import type { PreflightInput } from './preflight.js';
import { coveringSql, creatingSql, publicationState, publicationTables, uncovered } from './publication.js';
import type { SourceTable } from './tables.js';

const sqlName = ({ schema, table }: { schema: string; table: string }): string => qualified(schema, table);

/** Adding a table to a publication takes its owner. */
const NOT_OWNED = `
  SELECT n.nspname AS schema, c.relname AS table FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.oid = ANY ($1::oid[]) AND NOT pg_has_role(c.relowner, 'USAGE') ORDER BY c.oid`;

/** The publication: there and covering, or such that the stream can make it so. */
export async function checkPublication(
  { client, config, publicationName: name, slotName, ownsPublication, givenUp }: PreflightInput,
  tables: readonly SourceTable[],
  server: ServerFacts,
): Promise<Check[]> {
  if (config.snapshot === 'only') return config.publication === undefined ? [] : filtered(client, name, server);
  const state = await publicationState(client, name);
  const lacking = state === null ? tables : uncovered(await publicationTables(client, name), tables);
  const fix =
    state === null ? `${creatingSql(name, tables, server.version)};` : await coveringSql(client, name, state, lacking);
  const error = (code: string, message: string): Check => ({ code, severity: 'error', message, fix });

  if (state !== null && !ownsPublication) {
    if (lacking.length > 0)
      return [
        error('publication_incomplete', `The publication ${name} does not cover ${lacking.map(sqlName).join(', ')}.`),
      ];
    return [...withheld(name, state.withheld), ...(await filtered(client, name, server))];
  }
  if (lacking.length === 0) return [];
  const refusal = await whyNot({ client, lacking, creates: state === null, server });
  const knew = ownsPublication || config.publication !== undefined;
  if (refusal === null) return state === null && knew && !givenUp ? await unread(client, name, slotName) : [];
  return config.publication === undefined
    ? [error('permission_denied', `The publication ${name} can't be made: ${refusal}.`)]
    : [error('publication_missing', `There is no publication ${name}, and it can't be made: ${refusal}.`)];
}

/** It will be there again; but changes that were made without it can't be read, if there were any (trap 10). */
async function unread(client: PreflightInput['client'], name: string, slotName: string): Promise<Check[]> {
  const slot = await client.query('SELECT FROM pg_catalog.pg_replication_slots WHERE slot_name = $1', [slotName]);
  return slot.rowCount === 0
    ? []
    : [
        {
          code: 'publication_missing',
          severity: 'warning',
          message: `There is no publication ${name} (it will be made), but there is the slot ${slotName}: changes that were made without it can't be read from there.`,
          fix: 'Should there be any, and the stream end in slot_lost or offset_gap, start it with {"onLostPosition":"resnapshot"}.',
        },
      ];
}

async function whyNot(of: {
  client: PreflightInput['client'];
  lacking: readonly SourceTable[];
  creates: boolean;
  server: ServerFacts;
}): Promise<string | null> {
  if (of.server.standby) return 'the server is a standby';
  if (of.creates && !of.server.mayCreate) return `${of.server.user} lacks CREATE on the database ${of.server.database}`;
  const { rows } = await of.client.query<{ schema: string; table: string }>(NOT_OWNED, [
    of.lacking.map((one) => one.oid),
  ]);
  return rows.length === 0 ? null : `${of.server.user} does not own ${rows.map(sqlName).join(', ')}`;
}

/** The user's own publication may hold things back on purpose; that is said, not judged. */
function withheld(name: string, operations: readonly string[]): Check[] {
  if (operations.length === 0) return [];
  return [
    {
      code: 'publication_filters',
      severity: 'warning',
      message: `The publication ${name} does not publish ${operations.join(', ')}.`,
      fix: `ALTER PUBLICATION ${quoteIdent(name)} SET (publish = 'insert, update, delete, truncate');`,
    },
  ];
}

/** Rows and changes obey it alike. */
async function filtered(client: PreflightInput['client'], name: string, server: ServerFacts): Promise<Check[]> {
  if (server.version < 150_000) return [];
  const { rows } = await client.query<{ schema: string; table: string }>(
    `SELECT n.nspname AS schema, c.relname AS table FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
     JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE p.pubname = $1 AND (r.prqual IS NOT NULL OR r.prattrs IS NOT NULL) ORDER BY c.oid`,
    [name],
  );
  if (rows.length === 0) return [];
  const names = rows.map(sqlName).join(', ');
  const publication = quoteIdent(name);
  return [
    {
      code: 'publication_filters',
      severity: 'warning',
      message: `The publication ${name} filters rows or columns of ${names}: rows that are read and changes come without what it holds back.`,
      // In one transaction, so that no change falls between.
      fix: `BEGIN; ALTER PUBLICATION ${publication} DROP TABLE ${names}; ALTER PUBLICATION ${publication} ADD TABLE ${names}; COMMIT;`,
    },
  ];
}
