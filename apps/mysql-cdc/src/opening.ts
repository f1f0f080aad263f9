import { StreamError, type Orders, type Positions, type SourceContext } from '@planasonix/core';
import type { MySqlConfig } from './config.js';
import { gtidsAt, type Before, type GtidsAtDeps } from './gtids-at.js';
import {
  decodeNotes,
  decodePosition,
  encodeNotes,
  NOTEBOOK,
  type Asked,
  type Kinds,
  type MySqlPosition,
  type Notes,
  type Unread,
} from './position.js';
import { refuseLeftOut } from './log-filters.js';
import { partBehind } from './part.js';
import { refuseUnlogged } from './replicated.js';
import { beginTold } from './rows/consistent.js';
import { logEnd, serverOf, type LogPlace, type Server } from './server.js';
import type { Session } from './session.js';
import type { Sessions } from './sessions.js';
import { betweenPrepared, nonePrepared } from './prepared.js';
import { positionAt } from './successor.js';
import {
  kindsByTable,
  missingTables,
  resolveTables,
  sameTable,
  tableMatcher,
  type Asks,
  type SourceTable,
  type TableName,
} from './tables.js';
import { unfitReasons } from './unfit.js';

/** Where reading begins. */
export interface Beginning {
  readonly server: Server;
  readonly asks: Asks;
  readonly tables: readonly SourceTable[];
  /** Those of them of which it is noted what the log has no word for. */
  readonly noted: readonly SourceTable[];
  /** What was asked for since reading began, this config included; where rows are read of what is not, this one alone. */
  readonly asked: readonly Asked[];
  /** Tables whose rows are not in the log and are to be. */
  readonly unread: readonly Unread[];
  /** Ids of orders of which the log has all rows; `null`: it does not say. */
  readonly orders: readonly string[] | null;
  /**
   * - `resume`: goes on from `position`.
   * - `moved`: the same, at another place or with other tables than it says in the store.
   * - `begin`: begins at `position`, the end of the log.
   * - `alone`: rows and nothing else; their place is known once they can be seen.
   * - `done`: nothing is left to be read.
   */
  readonly how: 'resume' | 'moved' | 'begin' | 'alone' | 'done';
  /** Of `alone`: that of before, if it was alone too. */
  readonly position: MySqlPosition | null;
  readonly attempt: number;
}

export interface OpeningDeps {
  readonly config: MySqlConfig;
  readonly context: SourceContext;
  readonly session: Session;
  readonly sessions: Sessions;
  readonly signal: AbortSignal;
  /** The highest ones of the stream's log. */
  readonly orders: Orders | undefined;
}

export const positionOf = (positions: Positions | undefined): MySqlPosition | null => {
  const text = positions?.get('');
  return text === undefined ? null : decodePosition(text);
};

/** @throws StreamError where tables are missing or can't be told exactly, changes are not logged, or the position is lost */
export async function openStream(
  { config, context, session, sessions, signal, orders }: OpeningDeps,
  from: Positions,
): Promise<Beginning> {
  const server = await serverOf(session);
  const asks = tableMatcher(config, server.foldsCase);
  const tables = await readableTables(session, server, config);
  const given = context.onLostPosition;
  const before = positionOf(given === null ? from : ((await context.abandoned?.()) ?? from));
  const attempt = (before?.attempt ?? 0) + 1;
  const unreadOf = unreadFrom(context.clock.now());
  const common = { server, asks, tables, noted: tables, asked: [config], attempt, unread: [], orders: null };
  const only = config.snapshot === 'only';
  const at = { sessions, session, server, clock: context.clock, signal };
  if (before !== null && given === null) {
    const notes = notesOf(from);
    const known = { ...common, orders: notes.orders ?? null };
    if (only && before.phase === 'done') return { ...common, how: 'done', position: before };
    if (only && before.phase === 'rows' && before.rows !== undefined) {
      const { kept, late } = stillUnread(common, notes);
      const unread = [...kept, ...unreadOf(late, true)];
      return { ...known, how: 'alone', position: before, attempt: before.attempt, unread };
    }
    if (!only && before.phase === 'stream') {
      const there = await positionAt(at, before, partBehind(before, from, orders));
      return goesOn(at, config, known, { before, there }, notes, unreadOf);
    }
  }
  const unread = unreadOf(tables, before !== null);
  if (only) {
    // Before anything is locked or told; it is looked at again beside the place.
    await nonePrepared(session);
    return { ...common, how: 'alone', position: null, unread };
  }
  await refuseUnlogged(session, server, 'binlog_format_unsupported');
  await refuseLeftOut(session, server, tables, []);
  const { place, tables: then } = await placeOfTables(session, server, config, tables);
  const begun = { ...common, tables: then, noted: then };
  const known = await gtidsAt(at, place);
  // Whoever asks for all rows anew gets them, whatever the stream was to begin with.
  const rows = given === null ? config.snapshot === 'initial' : given === 'resnapshot';
  const position = placed(begun, { ...place, ...known }, 'stream');
  return { ...begun, how: 'begin', position, unread: rows ? anyway(unreadOf(then, before !== null), given) : [] };
}

type Common = Omit<Beginning, 'how' | 'position'>;

async function goesOn(
  at: GtidsAtDeps,
  config: MySqlConfig,
  common: Common,
  { before, there }: { readonly before: MySqlPosition; readonly there: MySqlPosition },
  notes: Notes,
  unreadOf: ReturnType<typeof unreadFrom>,
): Promise<Beginning> {
  const { server, tables } = common;
  const had = tables.filter(throughout(server, notes.asked));
  await refuseLeftOut(at.session, server, tables, had);
  // What is left out behind rows of a table without a key is told by its place at the server of before, and means nothing here.
  const sifted = there === before ? [] : (before.rows?.sifts ?? []);
  const found = sifted.length === 0 ? there : { ...there, rows: { tables: [], ...there.rows, sifts: [] } };
  const { kept, late } = stillUnread(common, notes, sifted);
  if (config.snapshot !== 'initial') {
    const asked = withThis(notes.asked, config);
    // One that is prepared has its rows before the place, and its commit behind it.
    if (asked !== notes.asked && late.length > 0) await nonePrepared(at.session);
    // Also of those that a config of before did not ask for: no rows were to be read of them, and these are.
    const read = notes.unread.filter(({ anyway, schema, table }) => anyway === true && common.asks(schema, table));
    const more = kindsOfWaiting(common, found, read);
    const isMoved = found !== before || Object.keys(more).length > 0;
    const position = isMoved ? { ...found, kinds: { ...found.kinds, ...more } } : found;
    // Once rows are wanted again they begin from nothing, and no id of theirs was there before.
    const rest = notes.unread.filter((one) => !read.includes(one));
    const unread = [...read, ...unreadOf(rest, true)];
    return {
      ...{ ...common, noted: had, asked, unread },
      ...{ how: isMoved ? 'moved' : 'resume', position },
    };
  }
  // One of two phases that is prepared may have written to them before they were asked for.
  if (late.length > 0) await betweenPrepared(at.session, () => Promise.resolve());
  const more = { ...kindsOfWaiting(common, found, kept), ...kindsByTable(late) };
  const position = Object.keys(more).length === 0 ? found : { ...found, kinds: { ...found.kinds, ...more } };
  const how = position === before && late.length === 0 ? 'resume' : 'moved';
  return { ...common, unread: [...kept, ...unreadOf(late, true)], how, position };
}

/** Whether a table was asked for all the time. */
export const throughout = ({ foldsCase }: Server, asked: Notes['asked']): ((table: SourceTable) => boolean) => {
  const all = asked.map((one) => tableMatcher(one, foldsCase));
  return ({ schema, table }) => all.every((asks) => asks(schema, table));
};

/**
 * What was still to be read and is asked for now, and the tables that are to be read from their beginning: those that a
 * config of before did not ask for hold rows that nobody has read, and lack changes.
 * @param sifted tables of which changes were left out that are to come now
 */
function stillUnread({ server, tables, asks }: Common, notes: Notes, sifted: readonly TableName[] = []) {
  const same = sameTable(server.foldsCase);
  const always = throughout(server, notes.asked);
  const late = tables.filter((table) => !always(table) || sifted.some((one) => same(one, table)));
  const isLate = (of: TableName): boolean => late.some((one) => same(one, of));
  return { late, kept: notes.unread.filter((one) => asks(one.schema, one.table) && !isLate(one)) };
}

/**
 * What the log has no word for in tables that are noted, and not begun: a reader may have ended between noting them and its
 * first position, which would have held that.
 */
function kindsOfWaiting({ server, tables }: Common, { rows, kinds }: MySqlPosition, unread: readonly Unread[]): Kinds {
  const same = sameTable(server.foldsCase);
  const begun = new Set(rows?.tables.map(({ id }) => id));
  const waiting = unread.filter(({ id, renewed }) => !begun.has(id) && renewed !== true);
  const unknown = tables.filter(({ schema, table }) => kinds[`${schema}.${table}`] === undefined);
  return kindsByTable(unknown.filter((table) => waiting.some((one) => same(one, table))));
}

const anyway = (unread: readonly Unread[], given: SourceContext['onLostPosition']): Unread[] =>
  unread.map((one) => (given === 'resnapshot' ? { ...one, anyway: true } : one));

/** Each reading has a name of its own. */
const unreadFrom =
  (nowMs: number) =>
  (tables: readonly TableName[], empties: boolean): Unread[] =>
    tables.map(({ schema, table }, i) => ({
      ...{ schema, table, empties },
      id: `${nowMs.toString(36)}.${i.toString(36)}`,
    }));

/** The end of the log, and the tables as they are there: what was asked before and after is the same. */
async function placeOfTables(session: Session, server: Server, config: MySqlConfig, before: readonly SourceTable[]) {
  for (let tables = before; ;) {
    const place = await betweenPrepared(session, () => visibleEnd(session, server));
    const after = await readableTables(session, server, config);
    if (JSON.stringify(kindsByTable(after)) === JSON.stringify(kindsByTable(tables))) return { place, tables: after };
    tables = after;
  }
}

/** In MariaDB up to where transactions see the log: what is in it and not visible yet comes as changes (trap 13). */
async function visibleEnd(session: Session, server: Server): Promise<LogPlace> {
  const end = await logEnd(session, server);
  if (server.flavor === 'mysql') return end;
  const place = await beginTold(session);
  await session.query('ROLLBACK');
  return place;
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

export const notesOf = (from: Positions | undefined): Notes => {
  const note = from?.get(NOTEBOOK);
  return note === undefined ? { asked: [], unread: [] } : decodeNotes(note);
};

const withThis = (before: readonly Asked[], config: MySqlConfig): readonly Asked[] => {
  const text = (one: Asked): string => encodeNotes({ asked: [one], unread: [] });
  return before.some((one) => text(one) === text(config)) ? before : [...before, config];
};

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
