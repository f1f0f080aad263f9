import { StreamError, type Clock, type LogEntry } from '@planasonix/core';
import {
  EARLIEST,
  FetchReader,
  LATEST,
  lookAt,
  type KafkaRecord,
  type LookOptions,
  type OffsetAsk,
  type Place,
} from '@planasonix/kafka';
import { toEntry } from './cloud-event.js';
import type { Reached } from './kafka-cluster.js';
import { cursorOf, cursorText } from './log-cursor.js';

/** So many records a look goes through at the most, over all partitions; what it has not found by then it leaves out. */
const SCAN_MOST = 400_000;
const IDLE_MS = 500;
const TOPIC_APPEARS_MS = 1_000;
const NO_SUCH_TOPIC = 3;

interface Found {
  readonly partition: number;
  readonly record: KafkaRecord;
}

/** Looks into the one topic of a stream. Partitions have no order among them: what was written earlier comes first. */
export class LogView {
  readonly #source: string;
  readonly #signal = new AbortController().signal;

  constructor(
    streamId: string,
    private readonly topic: string,
    private readonly reached: Reached,
    private readonly clock: Clock,
  ) {
    this.#source = `/streams/${streamId}`;
  }

  /** Also what a large transaction has written and not committed yet; what was given up is left out. */
  async read({ limit, after }: { readonly limit: number; readonly after?: string | null }): Promise<LogEntry[]> {
    const starts = await this.#places(EARLIEST);
    if (starts.length === 0) {
      if (after) cursorOf(after, 1);
      return [];
    }
    return after ? this.#after(starts, cursorOf(after, starts.length), limit) : this.#newest(starts, limit);
  }

  /** What is committed, as it comes. */
  async *tail(after: string | null, signal: AbortSignal, placed?: () => void): AsyncIterable<LogEntry> {
    let places = await this.#places(after === null ? LATEST : EARLIEST);
    placed?.();
    while (places.length === 0) {
      if (!(await this.clock.sleep(TOPIC_APPEARS_MS, signal))) return;
      places = await this.#places(EARLIEST);
    }
    const from = after === null ? null : cursorOf(after, places.length);
    const next = places.map(({ offset }, i) => Math.max(offset, from?.[i] ?? 0));
    const reader = new FetchReader({ cluster: this.reached.cluster, clock: this.clock });
    reader.add(places.map((place, i) => ({ ...place, offset: next[i]! })));
    try {
      while (!signal.aborted) {
        const chunk = await reader.next(IDLE_MS);
        for (const record of chunk?.records ?? []) {
          if (signal.aborted) return;
          next[chunk!.partition] = record.offset + 1;
          const entry = toEntry(record, this.#source, cursorText(next));
          if (entry !== null) yield entry;
        }
        if (chunk) next[chunk.partition] = chunk.next;
      }
    } finally {
      reader.close();
    }
  }

  async #after(starts: readonly Place[], cursor: readonly number[], limit: number): Promise<LogEntry[]> {
    const from = starts.map((place, i) => ({ ...place, offset: Math.max(place.offset, cursor[i]!) }));
    const found = await Promise.all(
      from.map((place) => this.#scan(place, { limit, most: SCAN_MOST / from.length, end: 'first' })),
    );
    const merged = merge(found).slice(0, limit);
    return this.#entries(
      merged,
      from.map(({ offset }) => offset),
    );
  }

  /** From ever further back, until there are enough or no more. */
  async #newest(starts: readonly Place[], limit: number): Promise<LogEntry[]> {
    const ends = await this.#places(LATEST);
    const most = Math.max(1, Math.floor(SCAN_MOST / starts.length));
    for (let window = Math.min(limit * 2 + 100, most); ; window = Math.min(window * 4, most)) {
      const from = starts.map((start, i) => ({
        ...start,
        offset: Math.max(start.offset, (ends[i]?.offset ?? 0) - window),
      }));
      const found = await Promise.all(from.map((place) => this.#scan(place, { limit, most: window, end: 'last' })));
      const merged = merge(found);
      const all = from.every(({ offset }, i) => offset === starts[i]!.offset);
      if (merged.length < limit && !all && window < most) continue;
      const skipped = merged.slice(0, Math.max(0, merged.length - limit));
      // Behind everything that is older than what is told of a partition.
      const next = from.map(({ offset }, i) => found[i]![0]?.record.offset ?? offset);
      for (const { partition, record } of skipped) next[partition] = record.offset + 1;
      return this.#entries(merged.slice(skipped.length), next);
    }
  }

  #entries(found: readonly Found[], next: number[]): LogEntry[] {
    return found.map(({ partition, record }) => {
      next[partition] = record.offset + 1;
      return toEntry(record, this.#source, cursorText(next))!;
    });
  }

  /** Events of this stream in one partition. */
  async #scan(place: Place, options: Omit<LookOptions, 'wanted'>): Promise<Found[]> {
    const wanted = (record: KafkaRecord) => toEntry(record, this.#source, '') !== null;
    const records = await lookAt(this.reached.cluster, place, { wanted, ...options });
    return records.map((record) => ({ partition: place.partition, record }));
  }

  async #places(timestamp: number): Promise<Place[]> {
    const { cluster } = this.reached;
    const [view] = (await cluster.view([this.topic])).topics;
    if (view === undefined || view.error === NO_SUCH_TOPIC) return [];
    const asks = view.partitions.map(({ partition }): OffsetAsk => ({ topic: this.topic, partition, timestamp }));
    const offsets = await cluster.offsets(asks, this.#signal);
    if (offsets.some(({ error }) => error !== 0))
      throw new StreamError('log_unavailable', `The topic ${this.topic} can not be read.`);
    return offsets
      .sort((a, b) => a.partition - b.partition)
      .map(({ partition, offset }) => ({ topic: this.topic, topicId: view.id, partition, offset, leaderEpoch: -1 }));
  }
}

/** By the time at which they were written; each partition's in its own order. */
function merge(partitions: readonly (readonly Found[])[]): Found[] {
  const heads = partitions.map(() => 0);
  const merged: Found[] = [];
  for (;;) {
    let first = -1;
    for (let i = 0; i < partitions.length; i++) {
      const head = partitions[i]![heads[i]!];
      if (head === undefined) continue;
      if (first < 0 || head.record.timestamp < partitions[first]![heads[first]!]!.record.timestamp) first = i;
    }
    if (first < 0) return merged;
    merged.push(partitions[first]![heads[first]!++]!);
  }
}
