import type { Appended, ChangeBatch } from '@planasonix/core';

/**
 * A batch in pieces that a log of `most` entries can hold; the last one has the position. Only events with an order can be
 * told from their repeats, so only they may enter apart: others (rows of a snapshot) stay together, however many they are.
 */
export function piecesOf(batch: ChangeBatch, most: number): readonly ChangeBatch[] {
  const { events } = batch;
  if (events.length <= most || events.some(({ order }) => order === null)) return [batch];
  const pieces: ChangeBatch[] = [];
  for (let at = 0; at < events.length; at += most) {
    const isLast = at + most >= events.length;
    pieces.push({ ...batch, events: events.slice(at, at + most), position: isLast ? batch.position : null });
  }
  return pieces;
}

/** What the pieces of one batch came to; the totals are those after the last. */
export function joined(parts: readonly Appended[]): Appended {
  if (parts.length === 1) return parts[0]!;
  const sum = (of: (part: Appended) => number) => parts.reduce((total, part) => total + of(part), 0);
  return {
    events: sum(({ events }) => events),
    bytes: sum(({ bytes }) => bytes),
    duplicates: sum(({ duplicates }) => duplicates),
    dropped: sum(({ dropped }) => dropped ?? 0),
    totals: parts.at(-1)!.totals,
  };
}
