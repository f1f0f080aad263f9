import type { Orders, Position, Positions } from '@planasonix/core';
import { z } from 'zod';
import { gtidOf, GtidSet } from './gtid-set.js';
import { fileNumber, type MySqlPosition } from './position.js';
import { beginOf, isBehind } from './rows/row-watch.js';
import type { LogPlace } from './server.js';

/**
 * Where a transaction is noted before the first of its pieces is handed over: whoever goes on at another server has to find
 * it there, for the stream's log holds a part of it.
 */
export const OPEN = '#open';

const open = z.object({
  attempt: z.int().min(1),
  file: z.string(),
  pos: z.int().min(0),
  gtid: z.string().nullable(),
});

/** @param begin where the transaction begins */
export const encodeOpen = (attempt: number, { file, pos }: LogPlace, gtid: string | null): Position =>
  JSON.stringify({ attempt, file, pos, gtid });

/** A part of a transaction that lies behind the position. */
export interface Part {
  /** `null`: it has none, or it is not known which transaction it is. */
  readonly gtid: string | null;
  /** Where it begins, at the server of the position; `null`: at another one, or not known. */
  readonly place: LogPlace | null;
}

/**
 * What the stream's log ends with: its highest order is that of the transaction noted, and the position does not have that one; or
 * that order is behind the position, whatever it is.
 *
 * @param orders the highest ones of the stream's log
 */
export function partBehind(before: MySqlPosition, from: Positions, orders: Orders | undefined): Part | null {
  const order = orders?.get('');
  if (order === undefined || order === '') return null;
  const begin = beginOf(order);
  const isHere = begin.attempt === before.attempt;
  if (isHere && isBehind(before, begin)) return null;
  const note = from.get(OPEN);
  const noted = note === undefined ? null : open.parse(JSON.parse(note));
  const { file, pos, gtid } = noted ?? UNKNOWN;
  if (noted?.attempt !== begin.attempt || fileNumber(file) !== begin.file || pos !== begin.pos)
    return isHere ? { gtid: null, place: null } : null;
  return hasRead(before, gtid) ? null : { gtid, place: isHere ? { file, pos } : null };
}

const UNKNOWN = { file: '', pos: 0, gtid: null };

/** Whether a position counts a transaction as read. */
function hasRead({ gtids }: MySqlPosition, gtid: string | null): boolean {
  if (gtid === null || gtids === null) return false;
  const flavor = gtid.includes(':') ? 'mysql' : 'mariadb';
  return GtidSet.parse(flavor, gtids)?.has(gtidOf(flavor, gtid)) === true;
}
