import type { KafkaRecord } from './consumer-batch.js';

/** Where to go on in one partition of one topic, which is what its id says. */
export interface Place {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  /** The next record that is wanted. */
  readonly offset: number;
  /** Of the last record before it; -1 where it is not known. */
  readonly leaderEpoch: number;
}

/** Records of one partition, in order, and where to go on after them. */
export interface RecordChunk {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  /** Committed ones only; may be empty where markers, aborted or removed records were passed. */
  readonly records: readonly KafkaRecord[];
  readonly leaderEpoch: number;
  /** The offset to go on from once these are durable. */
  readonly next: number;
}

/** What the reader must know of a partition that can't be read as it was asked for. */
export type Obstacle =
  | { readonly kind: 'out_of_range'; readonly place: Place }
  /** The broker's log was cut back before our place, and written anew. */
  | { readonly kind: 'diverged'; readonly place: Place; readonly at: number }
  /** No topic has this id any more. */
  | { readonly kind: 'topic_gone'; readonly place: Place }
  | { readonly kind: 'denied'; readonly place: Place }
  /** `next`: what is behind what can't be read; `null`: that can't be told. */
  | { readonly kind: 'damaged'; readonly place: Place; readonly why: string; readonly next: number | null };

/** Thrown by a reader. Whoever knows the stream decides what it means; the client never does (trap 24). */
export class ReadObstacle extends Error {
  constructor(readonly obstacle: Obstacle) {
    super(`${obstacle.place.topic}/${obstacle.place.partition} at ${obstacle.place.offset}: ${obstacle.kind}`);
    this.name = 'ReadObstacle';
  }
}

/**
 * Reads partitions from places of ours: no group, no offsets but those it is given, no place but the next one.
 */
export interface PartitionReader {
  /**
   * Starts with these too. A partition that is read already is left as it is.
   */
  add(places: readonly Place[]): void;
  /**
   * The next records of any partition; each partition in order. Resolves with `null` when nothing has come for
   * `idleMs`. What is not asked for is not read beyond what one fetch brought. Invariant 6.
   * @throws ReadObstacle, StreamError `source_unreachable`
   */
  next(idleMs: number): Promise<RecordChunk | null>;
  /** End of what is decided in each partition, as the last fetch saw it: `topic/partition` → offset. */
  readonly ends: ReadonlyMap<string, number>;
  close(): void;
}

export const partitionName = ({ topic, partition }: Pick<Place, 'topic' | 'partition'>): string =>
  `${topic}/${partition}`;
