import type { Clock, Lag, Positions } from '@planasonix/core';
import { FetchReader, partitionName, type KafkaCluster, type Place } from '@planasonix/kafka';
import { lostPlace, positionsOf, rangesOf, recreated, type Partition } from './partitions.js';
import { decodeStarts, NOTEBOOK } from './position.js';
import type { Newest } from './reading.js';

export interface LagInput {
  readonly cluster: KafkaCluster;
  readonly partitions: readonly Partition[];
  readonly from: Positions;
  /** What was handed over last, by partition; `null`: nothing is being read. */
  readonly newest: ReadonlyMap<string, Newest> | null;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Partitions whose next record is looked at, the ones that are furthest behind. */
const LOOKS = 8;
const LOOK_MS = 2_000;
/** So long the last record handed over tells how old the next one is; then a look is worth it. */
const FRESH_MS = 2_000;

/**
 * Ends of what is decided against our positions. Loss is found here too, for streams that nobody reads.
 * @throws StreamError `offset_out_of_range`, `topic_recreated` (trap 24)
 */
export async function lagOf(input: LagInput): Promise<Lag> {
  const { cluster, partitions, from, clock, signal } = input;
  const known = positionsOf(from);
  const starts = decodeStarts(from.get(NOTEBOOK));
  const now = clock.now();
  if (known.size === 0 && starts === null) return { oldestPendingMs: null, provedAtMs: null, backlogBytes: null };
  const read = partitions.map((partition) => {
    const position = known.get(partitionName(partition));
    if (position === undefined) return partition;
    return { ...partition, topicId: position.topic_id, leaderEpoch: position.leader_epoch };
  });
  const ranges = await rangesOf(cluster, read, signal);
  const behind: (Place & { readonly records: number })[] = [];
  for (const partition of partitions) {
    const name = partitionName(partition);
    const range = ranges.get(name)!;
    const position = known.get(name) ?? starts?.get(name);
    if (position && position.topic_id !== partition.topicId) throw recreated(name);
    const offset = position?.offset ?? range.first;
    if (offset < range.first || offset > range.end) throw await lostPlace(cluster, { ...partition, offset }, range);
    if (offset < range.end) behind.push({ ...partition, offset, leaderEpoch: -1, records: range.end - offset });
  }
  const oldest = behind.length === 0 ? null : await oldestOf(input, behind);
  const backlogRecords = behind.reduce((sum, { records }) => sum + records, 0);
  return { oldestPendingMs: oldest, provedAtMs: now, backlogBytes: null, backlogRecords };
}

/** Time of the oldest record that waits. Where one can't be had it waits since now at the latest. */
async function oldestOf({ cluster, clock, newest }: LagInput, behind: readonly (Place & { records: number })[]) {
  const times: number[] = [];
  const unknown: Place[] = [];
  for (const place of behind) {
    const last = newest?.get(partitionName(place));
    if (last === undefined || clock.monotonic() - last.handedAt > FRESH_MS) unknown.push(place);
    else times.push(last.timestamp);
  }
  const furthest = [...behind].sort((a, b) => b.records - a.records).filter((place) => unknown.includes(place));
  const looks = furthest.slice(0, LOOKS).map(async (place) => {
    const reader = new FetchReader({ cluster, clock, limits: { partitionBytes: 1, maxWaitMs: 100 }, chunkRecords: 1 });
    try {
      reader.add([place]);
      const chunk = await reader.next(LOOK_MS);
      const first = chunk?.records[0];
      if (first) times.push(first.timestamp);
    } catch {
      // What is wrong with it is found by reading it.
    } finally {
      reader.close();
    }
  });
  await Promise.all(looks);
  const now = clock.now();
  return times.reduce((oldest, time) => (time >= 0 && time < oldest ? time : oldest), now);
}
