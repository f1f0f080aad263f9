import { StreamError, type Positions } from '@planasonix/core';
import type { Client } from 'pg';
import { lsnText, parseLsn } from './decode/index.js';
import type { Holdings } from './holdings.js';
import { sameInstance } from './instance.js';
import { decodePosition, encodePosition, sameServer, type PgPosition, type ServerIdentity } from './position.js';
import { NOTEBOOK, writeNotebook } from './rows/rows-state.js';
import { toStreamError } from './session.js';
import type { Sessions } from './sessions.js';
import { holds, identify, slotState, walFlushed } from './slot.js';
import { settleHistory } from './timeline.js';

export interface SettleDeps {
  readonly sessions: Pick<Sessions, 'control' | 'open' | 'end'>;
  readonly slot: string;
  readonly holdings: Pick<Holdings, 'owns'>;
  readonly failover: boolean;
}

/** What a user wrote, as far as it is understood. */
interface Wanted {
  readonly lsn: bigint;
  /** Absent where only an LSN was given. */
  readonly server: ServerIdentity | null;
  readonly attempt: number;
}

const FORM = 'Write {"lsn":"16/B374D848"}, or a whole position as GET …/position shows it.';
const unreadable = (message: string): StreamError => new StreamError('config_invalid', message, { hint: FORM });

/**
 * What a position that a user wrote means for a stream that rests: everything that committed before its LSN counts as
 * being in the log. Nothing is changed at the server. Only what reading goes by is kept of what was written. Rows that
 * were still to be read are read anew: the notebook does not name their tables.
 * @param wanted `{lsn}`, or a whole position
 * @throws StreamError where the slot is gone, is ahead, never was there, or belongs to another server
 */
export async function settlePosition(deps: SettleDeps, wanted: unknown, from: Positions): Promise<Positions> {
  const { sessions, slot } = deps;
  const asked = understood(wanted, slot);
  const replication = await sessions.open('control', true);
  try {
    const control = await sessions.control();
    await sameInstance(replication, control);
    return await settled({ ...deps, control, replication }, asked, from);
  } finally {
    await sessions.end(replication);
  }
}

async function settled(
  deps: SettleDeps & { readonly control: Client; readonly replication: Client },
  asked: Wanted,
  from: Positions,
): Promise<Positions> {
  const { control, slot } = deps;
  const server = await identify(deps.replication);
  const text = from.get('');
  const before = text === undefined ? null : decodePosition(text);
  const lsn = lsnText(asked.lsn);
  if (asked.server !== null) sameServer(asked.server, server);
  // A bare LSN means the server that the stream has read so far: on another one it is some other place.
  else if (before !== null) await settleHistory({ ...before, phase: 'stream', slot, lsn }, null, server, deps);
  const position: PgPosition = {
    system_id: server.system_id,
    // The start proves a promotion once more: it knows what the log holds.
    timeline: asked.server === null && before !== null ? before.timeline : server.timeline,
    phase: 'stream',
    slot,
    lsn,
    // Attempts are part of the ids of a snapshot's rows: they never go back.
    attempt: Math.max(before?.attempt ?? 1, asked.attempt),
    // Behind rows that were read as a whole, what they hold stays left out, wherever reading goes on.
    ...(before?.rows === undefined || before.rows.sifts.length === 0
      ? {}
      : { rows: { tables: [], sifts: before.rows.sifts } }),
  };
  try {
    const state = await slotState(control, slot);
    if (state !== null && state.wal_status !== 'lost') held(state.confirmed_flush_lsn, position, slot);
    holds(state, slot, position, deps.holdings.owns('slot', slot));
    await written(control, asked.lsn, position.lsn);
  } catch (error) {
    throw toStreamError(error, 'looking at the slot');
  }
  const notes = from.get(NOTEBOOK) ?? notesOf(before);
  return new Map([['', encodePosition(position)], ...(notes === null ? [] : [[NOTEBOOK, notes] as const])]);
}

/**
 * Without a notebook every table counts as read: true of a stream that never was to read rows, or has not begun; where
 * rows were being read it would lose those that are left.
 */
function notesOf(before: PgPosition | null): string | null {
  if (before === null || (before.phase === 'stream' && before.rows === undefined)) return null;
  const done = (before.rows?.tables ?? []).filter((table) => table.order === null && table.done);
  const tables = new Map(done.map(({ oid, table }) => [oid, (JSON.parse(table) as string[]).join('.')]));
  return writeNotebook({
    ...{ tables, waiting: new Map(), gone: new Map(), published: new Map(), partitions: new Map() },
    ...{ orders: null, rereads: false, missed: new Set(), keys: new Map(), excluded: new Map() },
  });
}

function understood(wanted: unknown, slot: string): Wanted {
  if (typeof wanted !== 'object' || wanted === null) throw unreadable('A position is an object.');
  const of = wanted as Partial<Record<keyof PgPosition, unknown>>;
  const lsn = lsnOf(of.lsn);
  const { system_id: system, timeline, phase = 'stream', slot: named = slot, attempt = 1 } = of;
  if (phase !== 'stream')
    throw unreadable('Only a place in the changes can be set; rows that are still to be read have none.');
  if (named !== slot) throw unreadable(`The position belongs to another slot; the stream reads ${slot}.`);
  if (typeof attempt !== 'number' || !Number.isInteger(attempt) || attempt < 0 || attempt > 1_000_000)
    throw unreadable('The attempt of a position is a whole number up to a million.');
  if (system === undefined && timeline === undefined) return { lsn, server: null, attempt };
  if (typeof system !== 'string' || typeof timeline !== 'number')
    throw unreadable('A position that names its server has a system_id (text) and a timeline (a number).');
  return { lsn, server: { system_id: system, timeline }, attempt };
}

/** Nothing of a user's text is longer in an error. */
const shown = (value: unknown): string => JSON.stringify(value).slice(0, 40);

function lsnOf(text: unknown): bigint {
  try {
    const lsn = parseLsn(String(text));
    if (lsn > 0n) return lsn;
  } catch {
    // Told below.
  }
  throw unreadable(text === undefined ? 'The position has no lsn.' : `${shown(text)} is not an LSN of a commit.`);
}

/** Invariant 2: what the slot was told to forget is gone, and starting there would skip it in silence (trap 5). */
function held(confirmed: string | null, { lsn }: PgPosition, slot: string): void {
  if (confirmed !== null && parseLsn(confirmed) > parseLsn(lsn))
    throw new StreamError(
      'offset_gap',
      `The slot ${slot} is at ${confirmed}: what committed between ${lsn} and there was confirmed, and the server no longer holds it for this stream.`,
      { hint: `Set a position from ${confirmed} on, or read the rows again.` },
    );
}

/** A place that the server has not written yet would leave out whatever it writes up to there. */
async function written(control: Client, lsn: bigint, text: string): Promise<void> {
  const flushed = await walFlushed(control);
  const head = lsnText(flushed);
  if (lsn > flushed)
    throw new StreamError('offset_out_of_range', `The server has written up to ${head}; ${text} is ahead of that.`, {
      hint: `Set a position of ${head} or before.`,
    });
}
