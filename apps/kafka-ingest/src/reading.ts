import { StreamError, type Clock, type Log } from '@planasonix/core';
import {
  FetchReader,
  partitionName,
  ReadObstacle,
  type KafkaCluster,
  type Obstacle,
  type Place,
  type RecordChunk,
} from '@planasonix/kafka';
import type { KafkaConfig } from './config.js';
import { cutBack, lostPlace, rangesOf, recreated, topicDenied, topicMissing } from './partitions.js';
import type { KafkaPosition } from './position.js';
import { StuckAt } from './stuck.js';

export interface ReadingInput {
  readonly cluster: KafkaCluster;
  readonly config: KafkaConfig;
  readonly clock: Clock;
  readonly log: Log;
  readonly user: string | null;
  /** Positions from before, also of partitions that are not there now. */
  readonly before: ReadonlyMap<string, KafkaPosition>;
  /** How long a partition may be without an answer, ms. */
  readonly patienceMs: number;
}

/** What was handed over last of a partition. */
export interface Newest {
  /** Of the record, ms since the Unix epoch. */
  readonly timestamp: number;
  /** Monotonic. */
  readonly handedAt: number;
}

function damaged(name: string, { place, why, next }: Extract<Obstacle, { kind: 'damaged' }>): StreamError {
  const { offset } = place;
  const message = `${name} can't be read from ${offset} on: ${why}.`;
  if (next === null) return new StreamError('event_unsupported', message);
  const without = `${offset} to ${next - 1}`;
  return new StuckAt('event_unsupported', message, place, { first: 'Nothing was passed over.', without, next });
}

/** The partitions of a stream being read, and what it means when one of them can't be any more. */
export class Reading {
  /** By partition. */
  readonly newest = new Map<string, Newest>();
  /** Where each partition was last, also those that are gone: what comes under their name later is told by it. */
  readonly known: Map<string, KafkaPosition>;
  readonly #places = new Map<string, Place>();
  #reader: FetchReader;

  constructor(private readonly input: ReadingInput) {
    this.known = new Map(input.before);
    this.#reader = this.#open();
  }

  reads(name: string): boolean {
    return this.#places.has(name);
  }

  add(places: readonly Place[]): void {
    for (const place of places) this.#at(place);
    this.#reader.add(places);
  }

  /** @throws StreamError */
  async next(idleMs: number): Promise<RecordChunk | null> {
    try {
      const chunk = await this.#reader.next(idleMs);
      if (chunk !== null) this.#passed(chunk);
      return chunk;
    } catch (error) {
      if (!(error instanceof ReadObstacle)) throw error;
      await this.#meets(error);
      return null;
    }
  }

  close(): void {
    this.#reader.close();
  }

  #open(): FetchReader {
    const { cluster, clock, patienceMs } = this.input;
    return new FetchReader({ cluster, clock, patienceMs });
  }

  #passed({ records, leaderEpoch, next, ...partition }: RecordChunk): void {
    const name = partitionName(partition);
    this.#at({ ...partition, offset: next, leaderEpoch });
    const last = records.at(-1);
    if (last) this.newest.set(name, { timestamp: last.timestamp, handedAt: this.input.clock.monotonic() });
  }

  #at(place: Place): void {
    const name = partitionName(place);
    this.#places.set(name, place);
    this.known.set(name, { topic_id: place.topicId, offset: place.offset, leader_epoch: place.leaderEpoch });
  }

  /** Invariant 2: never a jump. Only a topic that was merely matched may go without a word of its own. */
  async #meets({ obstacle }: ReadObstacle): Promise<void> {
    const { cluster, config, log, user } = this.input;
    const { place } = obstacle;
    const name = partitionName(place);
    switch (obstacle.kind) {
      case 'denied':
        throw topicDenied(place.topic, user);
      case 'damaged':
        throw damaged(name, obstacle);
      case 'diverged':
        throw cutBack(name, obstacle.at, place.offset);
      case 'out_of_range': {
        const range = (await rangesOf(cluster, [place], new AbortController().signal)).get(name)!;
        throw await lostPlace(cluster, place, range);
      }
      case 'topic_gone': {
        const named = [place.topic];
        const [topic] = (await cluster.sureView(named, named, new AbortController().signal)).topics;
        if (topic?.error === 0) {
          if (topic.id !== place.topicId) throw recreated(name);
          throw new StreamError('source_unreachable', `The brokers do not agree on whether ${place.topic} is there.`);
        }
        if (config.topics.includes(place.topic)) throw topicMissing(place.topic);
        log.info({ topic: place.topic }, 'a topic that topic_pattern matched is gone');
        this.#without(place.topicId);
      }
    }
  }

  #without(topicId: string): void {
    this.#reader.close();
    for (const [name, place] of this.#places) if (place.topicId === topicId) this.#places.delete(name);
    this.#reader = this.#open();
    this.#reader.add([...this.#places.values()]);
  }
}
