import { StreamError, type Positions, type SourceContext } from '@planasonix/core';
import type { MySqlConfig } from './config.js';
import { gtidsAt, type Before } from './gtids-at.js';
import { decodeAsked, decodePosition, encodeAsked, NOTEBOOK, type Asked, type MySqlPosition } from './position.js';
import { logEnd, serverOf, type LogPlace, type Server } from './server.js';
import type { Session } from './session.js';
import type { Sessions } from './sessions.js';
import { betweenPrepared, nonePrepared } from './prepared.js';
import { positionAt } from './successor.js';
import { kindsByTable, missingTables, resolveTables, tableMatcher, type Asks, type SourceTable } from './tables.js';
import { unfitReasons } from './unfit.js';

/** Where reading begins. */
export interface Beginning {
  readonly server: Server;
  readonly asks: Asks;
  readonly tables: readonly SourceTable[];
  /** Those of them of which it is noted what the log has no word for. */
  readonly noted: readonly SourceTable[];
  /** What was asked for since reading began, this config included. */
  readonly asked: readonly Asked[];
  /**
   * - `resume`: goes on from `position`.
   * - `moved`: the same, on another server than before.
   * - `changes`: begins at `position`, the end of the log.
   * - `rows`: rows first; the place is known once they can be seen.
   * - `done`: nothing is left to be read.
   */
  readonly how: 'resume' | 'moved' | 'changes' | 'rows' | 'done';
  readonly position: MySqlPosition | null;
  /** Of a beginning from nothing. */
  readonly attempt: number;
  /** Readers of the log may have rows of an earlier attempt, or such as were given up. */
  readonly restarts: boolean;
}

export interface OpeningDeps {
  readonly config: MySqlConfig;
  readonly context: SourceContext;
  readonly session: Session;
  readonly sessions: Sessions;
  readonly signal: AbortSignal;
}

const positionOf = (positions: Positions | undefined): MySqlPosition | null => {
  const text = positions?.get('');
  return text === undefined ? null : decodePosition(text);
};

/** @throws StreamError where tables are missing or can't be told exactly, or the position is lost */
export async function openStream(
  { config, context, session, sessions, signal }: OpeningDeps,
  from: Positions,
): Promise<Beginning> {
  const server = await serverOf(session);
  const asks = tableMatcher(config, server.foldsCase);
  const tables = await readableTables(session, server, config);
  const given = context.onLostPosition;
  const before = positionOf(given === null ? from : ((await context.abandoned?.()) ?? from));
  const attempt = (before?.attempt ?? 0) + 1;
  const common = { server, asks, tables, noted: tables, asked: [config], attempt, restarts: before !== null };
  const only = config.snapshot === 'only';
  const at = { sessions, session, server, streamId: context.streamId, clock: context.clock, signal };
  if (before !== null && given === null) {
    if (only && before.phase === 'done') return { ...common, how: 'done', position: before };
    const asked = askedBefore(from);
    const throughout = (table: SourceTable): boolean =>
      asked.every((one) => tableMatcher(one, server.foldsCase)(table.schema, table.table));
    // Tables that a config of before did not ask for hold rows that nobody has read.
    const unread = config.snapshot === 'initial' && !tables.every(throughout);
    if (!only && before.phase === 'stream' && !unread) {
      const position = await positionAt(at, before);
      return {
        ...common,
        noted: tables.filter(throughout),
        asked: withThis(asked, config),
        how: position === before ? 'resume' : 'moved',
        position,
      };
    }
  }
  if (only || (given !== 'skip' && config.snapshot === 'initial')) {
    // Before anything is locked or told; it is looked at again beside the place.
    await nonePrepared(session);
    return { ...common, how: 'rows', position: null };
  }
  const { place, tables: then } = await placeOfTables(session, server, config, tables);
  const begun = { ...common, tables: then, noted: then };
  const known = await gtidsAt(at, place);
  return { ...begun, how: 'changes', position: placed(begun, { ...place, ...known }, 'stream') };
}

/** The end of the log, and the tables as they are there: what was asked before and after is the same. */
async function placeOfTables(session: Session, server: Server, config: MySqlConfig, before: readonly SourceTable[]) {
  for (let tables = before; ;) {
    const place = await betweenPrepared(session, () => logEnd(session, server));
    const after = await readableTables(session, server, config);
    if (JSON.stringify(kindsByTable(after)) === JSON.stringify(kindsByTable(tables))) return { place, tables: after };
    tables = after;
  }
}

/** The tables that the config asks for. @throws StreamError where there are none, some are missing, or can't be told exactly */
export async function readableTables(
  session: Session,
  server: Server,
  config: MySqlConfig,
): Promise<readonly SourceTable[]> {
  const tables = (await resolveTables(session, server, config)).filter(({ form }) => form !== 'SEQUENCE');
  const missing = missingTables(config, tables, server.foldsCase);
  if (missing.length > 0) throw new StreamError('tables_missing', `There is no table ${missing.join(', ')}.`);
  if (tables.length === 0) throw new StreamError('no_tables', `No table matches ${config.tables.join(', ')}.`);
  const [unfit] = tables.flatMap(unfitReasons);
  if (unfit !== undefined) throw new StreamError(unfit.code, unfit.message, { hint: unfit.fix });
  return tables;
}

const askedBefore = (from: Positions): readonly Asked[] => {
  const note = from.get(NOTEBOOK);
  return note === undefined ? [] : decodeAsked(note);
};

const withThis = (before: readonly Asked[], config: MySqlConfig): readonly Asked[] =>
  before.some((one) => encodeAsked([one]) === encodeAsked([config])) ? before : [...before, config];

/** A position at which nothing was read yet. */
export const placed = (
  { server, attempt, tables }: Pick<Beginning, 'server' | 'attempt' | 'tables'>,
  { file, pos, gtids, gtid, at }: LogPlace & Before,
  phase: MySqlPosition['phase'],
): MySqlPosition => ({
  ...{ phase, server: server.identity, file, pos, gtid, at, gtids, attempt },
  ...{ proof: null, head: null },
  kinds: kindsByTable(tables),
});
