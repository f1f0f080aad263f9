import { passes, type Check } from '@planasonix/core';
import type { Client } from 'pg';
import type { PostgresConfig, WalBudget } from './config.js';
import type { ExcludedMemory } from './excluded-columns.js';
import { checkCare } from './preflight-care.js';
import { checkFailover } from './preflight-failover.js';
import { checkPublication } from './preflight-publication.js';
import { checkServer, serverFacts } from './preflight-server.js';
import { checkSlot } from './preflight-slot.js';
import { checkTables } from './preflight-tables.js';
import { obeyedName } from './publication-filter.js';
import { resolveTables } from './tables.js';

export interface PreflightInput {
  /** A session of `openSession`. */
  readonly client: Client;
  readonly config: PostgresConfig;
  readonly slotName: string;
  readonly publicationName: string;
  readonly ownsSlot: boolean;
  readonly ownsPublication: boolean;
  readonly walBudget: WalBudget | null;
  /** The user gave the position up: a slot of the stream's own that is lost is replaced. */
  readonly givenUp: boolean;
  /** `null`: nothing was ever read. */
  readonly excluded: ExcludedMemory | null;
}

const ORDER = ['error', 'warning', 'info'] as const;

/**
 * Can the stream run? Each finding with what mends it; errors first, and those of the server before those of tables,
 * since the first one is what a stream shows that can't start. Changes nothing.
 */
export async function preflight(input: PreflightInput): Promise<readonly Check[]> {
  const { client, config } = input;
  const server = await serverFacts(client);
  const tables = await resolveTables(client, config, obeyedName(config, input.publicationName));
  const ofTables = await checkTables(input, tables, server);
  const found = [
    ...(await checkServer(input, server)),
    ...(await checkSlot(input, server)),
    ...(await checkFailover(input, server)),
    ...(await checkCare(input)),
    ...ofTables,
    // What to publish is known only when the tables are.
    ...(tables.length > 0 && passes(ofTables.filter((check) => check.code === 'tables_missing'))
      ? await checkPublication(input, tables, server)
      : []),
  ];
  return ORDER.flatMap((severity) => found.filter((check) => check.severity === severity));
}
