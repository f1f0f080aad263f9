import { StreamError, type Positions } from '@planasonix/core';
import { z } from 'zod';
import type { MySqlConfig } from './config.js';
import { GtidSet } from './gtid-set.js';
import { gtidsAt, UNKNOWN, type GtidsAtDeps } from './gtids-at.js';
import { holdsPlace } from './holds.js';
import { walkLog } from './log-walk.js';
import { decodeNotes, decodePosition, encodePosition, NOTEBOOK, type MySqlPosition } from './position.js';
import { logFiles } from './server.js';
import { committedAt, placeOf, positionAt } from './successor.js';
import { kindsByTable, resolveTables } from './tables.js';

export interface SettleDeps extends GtidsAtDeps {
  readonly config: MySqlConfig;
}

const byPlace = z.strictObject({ file: z.string().regex(/^.+\.\d{6,}$/), pos: z.int().min(4) });
const byGtids = z.strictObject({ gtids: z.string().min(1) });

const FORM =
  'Write {"file":"binlog.000042","pos":1234}, {"gtids":"…"} with all that counts as read, or a whole position as GET …/position shows it.';
const unreadable = (message: string): StreamError => new StreamError('config_invalid', message, { hint: FORM });

/**
 * What a position that a user wrote means for a stream that rests: everything before it counts as being in the log. Only
 * what reading goes by is kept of what was written.
 * @param wanted `{file, pos}`, `{gtids}`, or a whole position
 * @throws StreamError where the log has no such place, or has thrown away what comes behind it
 */
export async function settlePosition(deps: SettleDeps, wanted: unknown, from: Positions): Promise<Positions> {
  const { config, session, server } = deps;
  if (config.snapshot === 'only') throw unreadable('A stream that reads rows alone has no place in the changes.');
  const text = from.get('');
  const before = text === undefined ? null : decodePosition(text);
  const note = from.get(NOTEBOOK);
  const unread = note === undefined ? [] : decodeNotes(note).unread;
  const isInitial = config.snapshot === 'initial';
  if ((isInitial && before?.phase === 'rows') || unread.some(({ anyway }) => isInitial || anyway))
    throw unreadable('Rows are still to be read, and they follow the changes that were read.');
  const { attempt = 1, origin = attempt } = before ?? {};
  const now = kindsByTable(await resolveTables(session, server, config));
  const found = await understood(deps, wanted, before);
  // Nothing of what rows are under way, or hold already, changes with the very place where the stream rests.
  const { phase, server: at, file, pos } = before ?? {};
  const stays = phase === 'stream' && at === found.server && file === found.file && pos === found.pos;
  // Attempts and origins are part of orders and ids: they never go back, and what comes again has its id (Invariant 4).
  const position: MySqlPosition = {
    ...found,
    ...{ phase: 'stream', server: server.identity, attempt: Math.max(attempt, found.attempt), origin },
    rows: stays ? before?.rows : undefined,
    kinds: { ...now, ...before?.kinds },
  };
  return new Map([['', encodePosition(position)], ...(note === undefined ? [] : [[NOTEBOOK, note] as const])]);
}

async function understood(deps: SettleDeps, wanted: unknown, before: MySqlPosition | null): Promise<MySqlPosition> {
  const { server, session } = deps;
  const blank = { phase: 'stream' as const, server: server.identity, attempt: 1, kinds: {} };
  const nothing = { ...blank, ...UNKNOWN, proof: null, head: null };
  const set = byGtids.safeParse(wanted);
  if (set.success) {
    const read = GtidSet.parse(server.flavor, set.data.gtids);
    if (read === null || read.empty) throw unreadable('That is no set of GTIDs of this kind of server.');
    // In MariaDB 0-1-42 as somebody writes it stands for all of domain 0 up to 42, whoever wrote it.
    if (server.flavor === 'mariadb') read.addDomains(await committedAt(session, server));
    const place = await placeOf(deps, read, null);
    const before = server.flavor === 'mysql' ? { gtids: read.toString() } : await gtidsAt(deps, place);
    return { ...nothing, ...before, ...place };
  }
  const place = byPlace.safeParse(wanted);
  if (!place.success) return whole(deps, wanted);
  // A bare place means the server that was read so far: on another one it is some other place.
  if (before !== null && server.identity !== before.server)
    throw new StreamError('source_identity_changed', 'Another server answers at this address than was read so far.', {
      hint: 'A file and a place in it are good for one server. Write the GTIDs of what was read.',
    });
  const position = { ...nothing, ...place.data };
  await between(deps, position);
  // What MySQL had committed at a place of long ago is not asked for: the next file says it.
  return server.flavor === 'mariadb' ? { ...position, ...(await gtidsAt(deps, place.data)) } : position;
}

/** As it was shown: it may be of another server than answers now. */
async function whole(deps: SettleDeps, wanted: unknown): Promise<MySqlPosition> {
  let asked: MySqlPosition;
  try {
    asked = decodePosition(JSON.stringify(wanted));
  } catch {
    throw unreadable('That is not a position of mysql_cdc.');
  }
  if (asked.phase !== 'stream') throw unreadable('Only a place in the changes can be set.');
  if (asked.attempt > 10_000) throw unreadable('The attempt of a position is a number up to 10000.');
  const position = await positionAt(deps, asked, null);
  if (position === asked) await between(deps, position);
  return position;
}

/** A place is between two transactions, or it is none. */
async function between(deps: SettleDeps, position: MySqlPosition): Promise<void> {
  const { session, server } = deps;
  const { file, pos } = position;
  const files = await logFiles(session);
  const bytes = files.find((one) => one.file === file)?.bytes;
  if (bytes !== undefined && bytes < pos)
    throw new StreamError('offset_out_of_range', `${file} ends at ${bytes}; ${pos} is ahead of that.`);
  await holdsPlace(session, server, position);
  if (files.at(-1)?.file === file && files.at(-1)?.bytes === pos) return;
  const inside = (cause?: unknown): StreamError =>
    new StreamError('offset_out_of_range', `No transaction of ${file} begins at ${pos}.`, {
      hint: 'Set a place where a transaction ends and the next one begins, as events and SHOW BINLOG EVENTS tell it.',
      cause,
    });
  try {
    for await (const step of walkLog(deps, { file, pos })) {
      if (step.kind === 'housekeeping' && step.file === file) continue;
      if (step.file === file && step.begin < pos) throw inside();
      if (step.file !== file || step.kind === 'head' || step.kind === 'transaction') return;
      throw inside();
    }
  } catch (error) {
    // `ER_SOURCE_FATAL_ERROR_READING_BINLOG`: no event begins there.
    throw (error as { errno?: number }).errno === 1236 ? inside(error) : error;
  }
}
