import type { Check } from '@planasonix/core';
import type { MySqlConfig } from './config.js';
import { failed, info, warned } from './finding.js';
import { preflightServer, replicatedCheck, upstreamsCheck, versionCheck } from './preflight-server.js';
import { logsCascades, preflightTables } from './preflight-tables.js';
import { rightsChecks } from './preflight-rights.js';
import { throughout } from './opening.js';
import type { MySqlPosition, Notes } from './position.js';
import { holderOf, replicaHost, replicas, replicasGrant } from './server-id.js';
import { serverOf, type Server } from './server.js';
import type { Session } from './session.js';
import { missingTables, resolveTables } from './tables.js';

export interface PreflightDeps {
  readonly config: MySqlConfig;
  readonly streamId: string;
  readonly control: Session;
  readonly excludedOf: (schema: string, table: string) => ReadonlySet<string>;
  /** The stream has read nothing yet, or what it has read is given up. */
  readonly isNew: boolean;
  /** The place in the log from which it goes on; `null`: it begins. */
  readonly before: MySqlPosition | null;
  /** What was asked for since reading began. */
  readonly asked: Notes['asked'];
  /** A session for reading the log for a moment. */
  readonly look: () => Promise<Session>;
  readonly end: (session: Session) => void;
}

/** Can it run? Every finding with the exact fix. @throws where the server can't be asked */
export async function preflight(deps: PreflightDeps): Promise<readonly Check[]> {
  const { control, config, streamId } = deps;
  const server = await serverOf(control);
  const version = versionCheck(server);
  if (version.severity === 'error') return [info('reachable', 'The server answers.'), version];
  const tables = await resolveTables(control, server, config);
  const had = deps.before === null ? [] : tables.filter(throughout(server, deps.asked));
  const settings = await preflightServer(control, server, tables, had);
  const logged = settings.every(({ severity }) => severity !== 'error');
  const replicated = config.snapshot === 'only' ? [] : [await replicatedCheck(control, server, deps.before)];
  // Who may not ask hears it once.
  const isTold = replicated.some(({ severity }) => severity === 'warning');
  return [
    ...[info('reachable', 'The server answers.'), ...(control.isPlain ? [PLAIN] : []), version, ...settings],
    ...replicated,
    ...(isTold ? [] : await upstreamsCheck(control, server)),
    ...(await serverIdCheck(control, server, config, streamId)),
    ...(await rightsChecks({ ...deps, server, tables, logged })),
    ...preflightTables({
      ...{ config, server, tables, excludedOf: (schema, table) => deps.excludedOf(schema, table) },
      ...{ isNew: deps.isNew, logsCascades: await logsCascades(control, server) },
      missing: missingTables(config, tables, server.foldsCase),
    }),
  ];
}

/** Whoever stands in between would read rows. */
export const PLAIN: Check = warned('tls', 'The connection is not encrypted.', 'Set sslMode to verify-full.');

async function serverIdCheck(
  session: Session,
  server: Server,
  { server_id: given }: MySqlConfig,
  streamId: string,
): Promise<Check[]> {
  const rows = await replicas(session, server);
  const holder = given === 'auto' ? null : holderOf(server, rows, given, replicaHost(streamId));
  if (holder !== null)
    return [
      failed(
        'config_invalid',
        `server_id ${given} belongs to ${holder}.`,
        'Leave server_id out, or give one that no replica has.',
      ),
    ];
  // Two readers of one number end each other (trap 21).
  if (rows === null)
    return [
      warned(
        'server_id',
        `The user may not list the replicas of the server: whether one of them has ${given === 'auto' ? 'the number that the stream takes' : `server_id ${given}`} is not known.`,
        await replicasGrant(session, server),
      ),
    ];
  if (given === 'auto') return [];
  return [info('server_id', `No replica has server_id ${given}, as far as the server says.`)];
}
