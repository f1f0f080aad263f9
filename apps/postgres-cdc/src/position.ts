import { StreamError, type Position } from '@planasonix/core';
import { parseLsn } from './decode/index.js';
import { rowsState, type RowsState } from './rows/rows-state.js';

/** Which server it is. Two servers, or two histories of one, never share positions. */
export interface ServerIdentity {
  /** 64 bits, as text, from IDENTIFY_SYSTEM. */
  readonly system_id: string;
  readonly timeline: number;
}

/**
 * A place in the WAL of one server, for one slot.
 * - `stream`: everything that committed before `lsn` (the end of a commit record) is in the log.
 * - `rows`: rows are all that was asked for, and they are being read; `done`: they are all there.
 * - `snapshot`: of an earlier version, whose snapshots start over when they are interrupted.
 */
export interface PgPosition extends ServerIdentity {
  readonly phase: 'stream' | 'rows' | 'done' | 'snapshot';
  readonly slot: string;
  /** `16/B374D848` */
  readonly lsn: string;
  /** How often reading has begun from nothing. */
  readonly attempt: number;
  /** How far the rows of tables have come, where they are being read beside the stream. */
  readonly rows?: RowsState;
}

export const encodePosition = (position: PgPosition): Position => JSON.stringify(position);

/** @throws StreamError `config_invalid` where the text is not a position of this source. */
export function decodePosition(text: Position): PgPosition {
  try {
    const read = JSON.parse(text) as PgPosition;
    parseLsn(read.lsn);
    if (read.rows !== undefined) rowsState.parse(read.rows);
    if (typeof read.system_id === 'string' && ['stream', 'rows', 'done', 'snapshot'].includes(read.phase)) return read;
  } catch {
    // Told below.
  }
  throw new StreamError('config_invalid', 'The stored position is not a position of postgres_cdc.');
}

/** Invariant 2: a position of another server, or of another history of this one, is never resumed from (trap 6). */
export function sameServer(position: ServerIdentity, server: ServerIdentity): void {
  if (position.system_id !== server.system_id)
    throw new StreamError(
      'source_identity_changed',
      `Another server answers at this address: its system identifier is ${server.system_id}, the position belongs to ${position.system_id}.`,
    );
  if (position.timeline !== server.timeline)
    throw new StreamError(
      'source_identity_changed',
      `The server is on timeline ${server.timeline}, the position on ${position.timeline}: a standby was promoted or a backup restored.`,
    );
}
