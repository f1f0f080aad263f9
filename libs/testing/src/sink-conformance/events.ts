import type { ChangeBatch, ChangeEvent } from '@planasonix/core';

/** The nth event of a made-up source; `n: null` in `order` stands for a row of a snapshot. */
export function eventOf(n: number, over: Partial<ChangeEvent> = {}): ChangeEvent {
  const timeMs = 1_743_099_298_000 + n;
  return {
    id: `e-${n}`,
    type: 'com.planasonix.row.insert',
    subject: 'public.orders',
    time: new Date(timeMs).toISOString(),
    timeMs,
    partitionkey: `{"id":${n}}`,
    data: Buffer.from(`{"op":"c","after":{"id":${n}}}`),
    order: String(n).padStart(16, '0'),
    ...over,
  };
}

/** Events `first` to `last`, committed at the position `at-<last>`. */
export function commit(first: number, last: number, over: Partial<ChangeBatch> = {}): ChangeBatch {
  const events = Array.from({ length: last - first + 1 }, (_, i) => eventOf(first + i));
  return { partition: '', events, position: `at-${last}`, ...over };
}

/** Ids of the events `first` to `last`. */
export const numbers = (first: number, last: number): string[] =>
  Array.from({ length: last - first + 1 }, (_, i) => `e-${first + i}`);
