import type { Orders, Position, Positions } from '@planasonix/core';
import { z } from 'zod';
import { fileNumber, type MySqlPosition } from './position.js';
import { beginOf, isBehind } from './rows/row-watch.js';
import type { LogPlace } from './server.js';

/**
 * Where a transaction is noted before the first of its pieces is handed over: whoever goes on at another server has to find
 * it there, for the stream's log holds a part of it.
 */
export const OPEN = '#open';

const open = z.object({ file: z.string(), pos: z.int().min(0), gtid: z.string().nullable() });

/** @param begin where the transaction begins */
export const encodeOpen = ({ file, pos }: LogPlace, gtid: string | null): Position =>
  JSON.stringify({ file, pos, gtid });

/** A part of a transaction that lies behind the position. `gtid`: `null` where it has none, or it is not known which one it is. */
export interface Part {
  readonly gtid: string | null;
}

/** @param orders the highest ones of the stream's log */
export function partBehind(before: MySqlPosition, from: Positions, orders: Orders | undefined): Part | null {
  const order = orders?.get('');
  if (order === undefined || order === '') return null;
  const begin = beginOf(order);
  if (begin.attempt !== before.attempt || isBehind(before, begin)) return null;
  const note = from.get(OPEN);
  const noted = note === undefined ? null : open.parse(JSON.parse(note));
  const is = noted !== null && fileNumber(noted.file) === begin.file && noted.pos === begin.pos;
  return { gtid: is ? noted.gtid : null };
}
