import { StreamError, type Clock, type Log } from '@planasonix/core';
import {
  FetchReader,
  partitionName,
  ReadObstacle,
  type KafkaCluster,
  type Place,
  type RecordChunk,
} from '@planasonix/kafka';
import type { KafkaConfig } from './config.js';
import { outOfRange, rangesOf, recreated, topicDenied, topicMissing } from './partitions.js';

export interface ReadingInput {
  readonly cluster: KafkaCluster;
  readonly config: KafkaConfig;
  readonly clock: Clock;
  readonly log: Log;
  readonly user: string | null;
}

/** The partitions of a stream being read, and what it means when one of them can't be any more. */
export class Reading {
  /** Time of the last record that was handed over, by partition. */
  readonly newest = new Map<string, number>();
  readonly #places = new Map<string, Place>();
  #reader: FetchReader;

  constructor(private readonly input: ReadingInput) {
    this.#reader = this.#open();
  }

  reads(name: string): boolean {
    return this.#places.has(name);
  }

  add(places: readonly Place[]): void {
    for (const place of places) this.#places.set(partitionName(place), place);
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
    const { cluster, clock, config } = this.input;
    return new FetchReader({ cluster, clock, brokersAtOnce: config.max_tasks });
  }

  #passed({ records, leaderEpoch, next, ...partition }: RecordChunk): void {
    const name = partitionName(partition);
    this.#places.set(name, { ...partition, offset: next, leaderEpoch });
    const last = records.at(-1);
    if (last) this.newest.set(name, last.timestamp);
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
        throw new StreamError('event_unsupported', `${name} can't be read from ${place.offset} on: ${obstacle.why}.`);
      case 'diverged':
        throw new StreamError(
          'offset_out_of_range',
          `${name} was cut back to ${obstacle.at} and written anew (an unclean change of leader): our position is ${place.offset}.`,
        );
      case 'out_of_range': {
        const range = (await rangesOf(cluster, [place], new AbortController().signal)).get(name)!;
        throw outOfRange(name, place.offset, range);
      }
      case 'topic_gone': {
        const [topic] = (await cluster.view([place.topic])).topics;
        if (topic?.error === 0 && topic.id !== place.topicId) throw recreated(name);
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
