import { BEGINNING, StreamError, type LogEntry } from '@planasonix/core';

type Fields = Omit<LogEntry, 'cursor'>;
const EMPTY: Fields = { id: '', type: '', source: '', subject: '', time: '', partitionkey: '', data: '' };

/** One entry as XRANGE and XREAD give it: id and flat fields. */
export type RawEntry = [string, string[]];

export function toEntry([cursor, flat]: RawEntry): LogEntry {
  const fields: Record<string, string> = { ...EMPTY };
  for (let i = 0; i + 1 < flat.length; i += 2) if (Object.hasOwn(EMPTY, flat[i]!)) fields[flat[i]!] = flat[i + 1]!;
  return { cursor, ...(fields as unknown as Fields) };
}

const MAX = 2n ** 64n;

/** A cursor is Redis's own entry id. @throws StreamError `config_invalid` for anything else. */
export function checkedCursor(cursor: string): string {
  if (cursor === BEGINNING) return '0-0';
  const found = /^(\d{1,20})-(\d{1,20})$/.exec(cursor);
  if (!found || BigInt(found[1]!) >= MAX || BigInt(found[2]!) >= MAX)
    throw new StreamError('config_invalid', 'The cursor is not one of this log', {
      hint: `Take it from an entry that was read before; ${BEGINNING} is the beginning.`,
    });
  return cursor;
}
