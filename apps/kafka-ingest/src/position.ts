import { StreamError, type Position } from '@planasonix/core';
import type { Place } from '@planasonix/kafka';
import { z } from 'zod';

/** Where reading began, for partitions that have no position yet: written before the first record. */
export const NOTEBOOK = '#starts';

const position = z.object({
  topic_id: z.string().regex(/^[0-9a-f]{32}$/),
  /** The next record that is wanted. */
  offset: z.int().min(0),
  leader_epoch: z.int().default(-1),
});
const notebook = z.object({ starts: z.record(z.string(), position) });

export type KafkaPosition = z.output<typeof position>;

export const encodePosition = ({ topicId, offset, leaderEpoch }: Omit<Place, 'topic' | 'partition'>): Position =>
  JSON.stringify({ topic_id: topicId, offset, leader_epoch: leaderEpoch } satisfies KafkaPosition);

/** @throws StreamError `config_invalid` where the text is not a position of this source. */
export function decodePosition(text: Position): KafkaPosition {
  try {
    return position.parse(JSON.parse(text));
  } catch (cause) {
    throw new StreamError('config_invalid', 'The stored position is not a position of kafka.', { cause });
  }
}

export const encodeStarts = (starts: ReadonlyMap<string, KafkaPosition>): Position =>
  JSON.stringify({ starts: Object.fromEntries(starts) });

/** `null`: reading has never begun. @throws StreamError `config_invalid` */
export function decodeStarts(text: Position | undefined): ReadonlyMap<string, KafkaPosition> | null {
  if (text === undefined) return null;
  try {
    return new Map(Object.entries(notebook.parse(JSON.parse(text)).starts));
  } catch (cause) {
    throw new StreamError('config_invalid', 'The stored beginning is not one of kafka.', { cause });
  }
}
