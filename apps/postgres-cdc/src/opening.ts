import { StreamError, type SourceContext } from '@planasonix/core';
import type { Client } from 'pg';
import type { PostgresConfig } from './config.js';
import { lsnText, parseLsn } from './decode/index.js';
import { lookAtExcluded, type ExcludedMemory } from './excluded-columns.js';
import type { Holdings } from './holdings.js';
import { partitionsNow, type Partitions } from './partitions.js';
import type { PgPosition } from './position.js';
import { endPredecessor } from './predecessor.js';
import { obeyedName, unlistedKeys } from './publication-filter.js';
import {
  ensurePublication,
  memberships,
  publicationTables,
  refuseUnfit,
  uncovered,
  type Memberships,
} from './publication.js';
import type { Sessions } from './sessions.js';
import {
  createSlot,
  dropSlot,
  holds,
  identify,
  invalidated,
  serverOf,
  slotState,
  usable,
  walEnd,
  whyInvalidated,
  type SlotState,
} from './slot.js';
import { missingTables, resolveTables, type SourceTable } from './tables.js';
import { settleFailover, settleHistory } from './timeline.js';

export interface OpeningDeps {
  readonly config: PostgresConfig;
  readonly context: SourceContext;
  readonly sessions: Sessions;
  readonly slot: string;
  readonly publication: string;
  /** Of the stream's sessions at the server. */
  readonly name: string;
  readonly holdings: Pick<Holdings, 'at' | 'owns' | 'remember'>;
}

/** Where reading begins, once publication and slot are settled. */
export interface Beginning {
  readonly position: PgPosition;
  readonly tables: readonly SourceTable[];
  /** Tables whose changes were not published any more when it began: what was written since is missing (Invariant 2). */
  readonly unpublished: readonly number[];
  readonly membership: Memberships;
  /** Table → its partitions, of before the snapshot of the slot's beginning, or any of later. */
  readonly partitions: ReadonlyMap<number, Partitions>;
  /** Goes on from a position. */
  readonly resumes: boolean;
  /** All rows are to be read. */
  readonly rows: boolean;
  /** Readers may have rows of an earlier attempt, or such as were given up. */
  readonly restarts: boolean;
  /** The snapshot that belongs to the slot's beginning, or is all there is of rows alone; `null`: there is none. */
  readonly exported: ExportedSnapshot | null;
}

/** One that other sessions can read under, for as long as `end` was not called. */
export interface ExportedSnapshot {
  readonly snapshot: string;
  end(): Promise<void>;
}

/** What is known of the place to go on from, besides its position. */
export interface Reached {
  /** The highest order in the log. */
  readonly order: string | null;
  /** OIDs of the tables that were taken up; `null`: all that there are. */
  readonly tables: ReadonlySet<number> | null;
  /** `null`: nothing was ever read. */
  readonly excluded: ExcludedMemory | null;
}

/** How often it is begun over where tables get other names meanwhile. */
const TRIES = 5;

/** Publication before slot (trap 10), slot before the first row. */
export async function openStream(deps: OpeningDeps, from: PgPosition | null, reached: Reached): Promise<Beginning> {
  for (let tries = 1; ; tries++)
    try {
      return await open(deps, from, reached);
    } catch (error) {
      // Not one that was missing when it was looked for: it was renamed or dropped before it could be published.
      const renamed = error instanceof StreamError && error.code === 'tables_missing' && error.cause !== undefined;
      if (!renamed || tries === TRIES) throw error;
    }
}

async function open(deps: OpeningDeps, from: PgPosition | null, reached: Reached): Promise<Beginning> {
  const { config, context, sessions, slot, publication } = deps;
  const control = await sessions.control();
  let tables = await resolveTables(control, config, obeyedName(config, publication));
  const missing = missingTables(config, tables);
  if (missing.length > 0) throw new StreamError('tables_missing', `There is no table ${missing.join(', ')}.`);
  if (tables.length === 0) throw new StreamError('no_tables', `No table matches ${config.tables.join(', ')}.`);
  for (const table of tables) {
    const { refused } = lookAtExcluded(config, table, reached.excluded);
    if (refused !== null) throw refused;
  }
  const replication = await sessions.open('slot', true);
  let keeps = false;
  try {
    const server = await identify(replication);
    await sessions.stayWith(replication);
    const { database, version } = await serverOf(control);
    deps.holdings.at({ server: server.system_id, database });
    const given = context.onLostPosition;
    const only = config.snapshot === 'only';
    const unlisted = only ? unlistedKeys(tables) : null;
    if (unlisted !== null) throw unlisted;
    const { failover } = config;
    const resumes = from !== null && given === null && resumable(from, only);
    const position = resumes
      ? await settleHistory(from, reached.order, server, { replication, control, failover })
      : from;
    const partitions = only ? new Map<number, Partitions>() : await partitionsNow(control, tables);
    const unpublished = resumes && !only ? uncovered(await publicationTables(control, publication), tables) : [];
    if (!only) {
      tables = await published(deps, control, tables, resumes ? reached.tables : null);
      context.step?.('publication-created');
      await endPredecessor(control, slot, deps.name, context.clock);
    }
    const goesOn = {
      ...{ tables, partitions, resumes, rows: false, restarts: false, exported: null },
      unpublished: unpublished.map((one) => one.oid),
      // Before there is a snapshot: what is changed behind it is noticed, and what it holds is of a filter that was noted.
      membership: only ? () => null : await memberships(control, publication),
    };
    if (resumes && position !== null && only)
      return { ...goesOn, position, exported: position.phase === 'done' ? null : await exportSnapshot(sessions) };
    const found = only ? null : await slotState(control, slot);
    if (resumes && position !== null) {
      const own = deps.holdings.owns('slot', slot);
      holds(found, slot, position, own);
      if (own) await settleFailover({ replication, control }, slot, failover);
      return { ...goesOn, position };
    }
    if (config.snapshot === 'never' && given === null && found !== null && version >= 180_000) younger(deps);
    const attempt = (position?.attempt ?? 0) + 1;
    const place = only
      ? { lsn: await walEnd(control), snapshot: null }
      : await placeOf(deps, control, replication, found, given !== null);
    // Whoever asks for all rows anew gets them, whatever the stream was to begin with.
    const rows = only || (given === null ? config.snapshot === 'initial' : given === 'resnapshot');
    const snapshot = rows ? place.snapshot : null;
    keeps = snapshot !== null;
    const ofSlot = snapshot === null ? null : { snapshot, end: () => sessions.end(replication) };
    return {
      position: { ...server, phase: only ? 'rows' : 'stream', slot, lsn: lsnText(place.lsn), attempt },
      ...{ tables, partitions, resumes, rows },
      unpublished: [],
      membership: goesOn.membership,
      restarts: attempt > 1 || given !== null,
      exported: only ? await exportSnapshot(sessions) : ofSlot,
    };
  } finally {
    if (!keeps) await sessions.end(replication);
  }
}

/**
 * Sees to it that they are published. One that came after the stream began does not keep the others from going on where that
 * can't be: it is looked at again while the stream runs, and is refused until then.
 */
async function published(
  deps: OpeningDeps,
  control: Client,
  tables: readonly SourceTable[],
  known: Reached['tables'],
): Promise<readonly SourceTable[]> {
  const { publication: name, holdings } = deps;
  const publish = (those: readonly SourceTable[]) =>
    ensurePublication(control, {
      ...{ name, tables: those, owned: holdings.owns('publication', name) },
      remember: () => holdings.remember('publication', name),
    });
  const taken = tables.filter(({ oid }) => known === null || known.has(oid));
  if (known === null) await refuseUnfit(control, taken);
  if (taken.length > 0) await publish(taken);
  for (const table of tables) {
    if (taken.includes(table)) continue;
    try {
      await refuseUnfit(control, [table]);
      await publish([table]);
      taken.push(table);
    } catch (error) {
      if (!(error instanceof StreamError) || error.recourse !== 'fatal') throw error;
    }
  }
  return taken;
}

/**
 * From 18 on a server passes over what was written before the publication was there, and says nothing; before, it refuses
 * to (trap 10). Where rows are read, they have it.
 */
function younger({ holdings, slot, publication }: OpeningDeps): void {
  if (holdings.owns('slot', slot) || !holdings.owns('publication', publication)) return;
  throw new StreamError(
    'slot_lost',
    `The slot ${slot} is older than the publication ${publication}, which was made for it: what was written between can't be read.`,
    { hint: 'Make a publication first and the slot after it, or start with {"onLostPosition":"skip"}.' },
  );
}

const resumable = ({ phase }: PgPosition, only: boolean): boolean =>
  only ? phase === 'rows' || phase === 'done' : phase === 'stream';

/** On a session of its own: rows alone have no slot that brings one. */
export async function exportSnapshot(sessions: Sessions): Promise<ExportedSnapshot> {
  const session = await sessions.open('snapshot');
  const end = (): Promise<void> => sessions.end(session);
  try {
    await session.query('BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY');
    const { rows } = await session.query<{ snapshot: string }>('SELECT pg_catalog.pg_export_snapshot() AS snapshot');
    return { snapshot: rows[0]!.snapshot, end };
  } catch (error) {
    await end();
    throw error;
  }
}

/** The slot, made or found, and the place where its changes begin. */
async function placeOf(
  deps: OpeningDeps,
  control: Client,
  replication: Client,
  found: SlotState | null,
  lost: boolean,
): Promise<{ readonly lsn: bigint; readonly snapshot: string | null }> {
  const { slot } = deps;
  const own = deps.holdings.owns('slot', slot);
  if (found !== null && !own) {
    usable(found, slot);
    if (found.wal_status === 'lost') throw invalidated(slot, whyInvalidated(found), own);
    if (!lost) return { lsn: parseLsn(found.confirmed_flush_lsn ?? '0/0'), snapshot: null };
    // The user gave the position up: go on from now. It is theirs, so it is moved and not dropped.
    const { rows } = await control.query<{ lsn: string }>(
      'SELECT (pg_catalog.pg_replication_slot_advance($1, $2)).end_lsn::text AS lsn',
      [slot, lsnText(await walEnd(control))],
    );
    return { lsn: parseLsn(rows[0]!.lsn), snapshot: null };
  }
  // One of ours with nothing read from it, or whose position is lost: its beginning is of no use any more.
  if (found !== null) await dropSlot(control, slot);
  await deps.holdings.remember('slot', slot);
  const { consistentPoint, snapshot } = await createSlot(replication, control, slot, deps.config.failover);
  deps.context.step?.('slot-created');
  return { lsn: consistentPoint, snapshot };
}
