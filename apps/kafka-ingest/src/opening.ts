import { StreamError, type OnLostPosition, type Positions } from '@planasonix/core';
import { EARLIEST, partitionName, type KafkaCluster, type Place } from '@planasonix/kafka';
import { offsetsOf, type KafkaConfig } from './config.js';
import { lostPlace, offsetsAt, positionsOf, rangesOf, recreated, type Partition, type Range } from './partitions.js';
import { decodeStarts, NOTEBOOK, type KafkaPosition } from './position.js';

export interface Opening {
  /** Where each partition goes on. */
  readonly places: readonly Place[];
  /** To be written before the first record; `null` where reading has begun before. */
  readonly starts: ReadonlyMap<string, KafkaPosition> | null;
  /** Positions of partitions that were read before, also of those that are not there now. */
  readonly before: ReadonlyMap<string, KafkaPosition>;
}

export interface OpeningInput {
  readonly cluster: KafkaCluster;
  readonly config: KafkaConfig;
  readonly partitions: readonly Partition[];
  readonly from: Positions;
  /** What the user decided about a lost position, and the positions as they were. */
  readonly given: { readonly decision: OnLostPosition; readonly positions: Positions } | null;
  readonly signal: AbortSignal;
}

/**
 * Where to go on. Positions are ours, per topic id and partition; the brokers are asked only what they hold (trap 24).
 * @throws StreamError `topic_recreated`, `offset_out_of_range`
 */
export async function openPartitions(input: OpeningInput): Promise<Opening> {
  const { cluster, partitions, from, given, signal } = input;
  if (given !== null) return begin(partitions, await givenUp(input, given));
  const starts = decodeStarts(from.get(NOTEBOOK));
  const known = positionsOf(from);
  if (starts === null && known.size === 0) return begin(partitions, await configured(input));
  const before = new Map([...(starts ?? []), ...known]);
  return { places: await latecomers({ cluster, partitions, known: before, signal }), starts: null, before };
}

export interface Latecomers {
  readonly cluster: KafkaCluster;
  readonly partitions: readonly Partition[];
  /** Places of those that were read before, also of some that were away meanwhile. */
  readonly known: ReadonlyMap<string, KafkaPosition>;
  readonly signal: AbortSignal;
}

/**
 * Those that were read before go on where they were; others are read from their first record on.
 * @throws StreamError `topic_recreated`: the log would take its records for those of the old topic, and drop them
 */
export async function latecomers({ cluster, partitions, known, signal }: Latecomers): Promise<Place[]> {
  const fresh: Partition[] = [];
  const places: Place[] = [];
  for (const partition of partitions) {
    const name = partitionName(partition);
    const position = known.get(name);
    if (position === undefined) fresh.push(partition);
    else if (position.topic_id !== partition.topicId) throw recreated(name);
    else places.push(placeAt(partition, position));
  }
  const ranges = await rangesOf(cluster, places, signal);
  for (const place of places) {
    const range = ranges.get(partitionName(place))!;
    if (place.offset < range.first || place.offset > range.end) throw await lostPlace(cluster, place, range);
  }
  return [...places, ...(await earliest(cluster, fresh, signal))];
}

const placeAt = (partition: Partition, { offset, leader_epoch }: KafkaPosition): Place => ({
  ...partition,
  offset,
  leaderEpoch: leader_epoch,
});

const at = ({ topicId }: Partition, offset: number): KafkaPosition => ({ topic_id: topicId, offset, leader_epoch: -1 });

const begin = (partitions: readonly Partition[], starts: ReadonlyMap<string, KafkaPosition>): Opening => ({
  places: partitions.map((partition) => placeAt(partition, starts.get(partitionName(partition))!)),
  starts,
  before: starts,
});

async function earliest(
  cluster: KafkaCluster,
  partitions: readonly Partition[],
  signal: AbortSignal,
): Promise<Place[]> {
  const offsets = await offsetsAt(cluster, partitions, EARLIEST, signal);
  return partitions.map((partition) =>
    placeAt(partition, at(partition, offsets.get(partitionName(partition))?.offset ?? 0)),
  );
}

/** As `start` says, for the first read of all. */
async function configured({ cluster, config, partitions, signal }: OpeningInput) {
  const { start } = config;
  const missing = offsetsWithout(config, partitions);
  if (missing.length > 0)
    throw new StreamError('config_invalid', `start.offsets: there is no partition ${missing.join(', ')}.`, {
      hint: 'Correct start.offsets: what comes later starts at its first record.',
    });
  const ranges = await rangesOf(cluster, partitions, signal);
  const byTime =
    typeof start === 'object' && 'timestamp' in start
      ? await offsetsAt(cluster, partitions, Date.parse(start.timestamp), signal)
      : null;
  const wished = new Map(offsetsOf(config).map((one) => [partitionName(one), one.offset]));
  const starts = new Map<string, KafkaPosition>();
  for (const partition of partitions) {
    const name = partitionName(partition);
    const range = ranges.get(name)!;
    starts.set(
      name,
      at(partition, chosen(start, range, { name, byTime: byTime?.get(name)?.offset, wished: wished.get(name) })),
    );
  }
  return starts;
}

/** Partitions that `start.offsets` names and that there are not. */
export const offsetsWithout = (config: KafkaConfig, partitions: readonly Partition[]): string[] => {
  const there = new Set(partitions.map(partitionName));
  return offsetsOf(config)
    .map(partitionName)
    .filter((name) => !there.has(name));
};

interface Wish {
  readonly name: string;
  /** Of the first record that is no earlier than `start` says. */
  readonly byTime: number | undefined;
  /** As `start.offsets` says. */
  readonly wished: number | undefined;
}

function chosen(start: KafkaConfig['start'], { first, end }: Range, { name, byTime, wished }: Wish): number {
  if (start === 'latest') return end;
  if (start === 'earliest') return first;
  // No record is so late: what comes from now on is.
  if ('timestamp' in start) return byTime === undefined || byTime < 0 ? end : byTime;
  if (wished === undefined) return first;
  if (wished >= first && wished <= end) return wished;
  throw new StreamError('config_invalid', `start.offsets: ${name} holds ${first} to ${end}, not ${wished}.`);
}

/** `skip` gives up what is lost, and in a log that was cut back what has places that were told already; `resnapshot` reads everything that there is again. */
async function givenUp({ cluster, partitions, signal }: OpeningInput, given: NonNullable<OpeningInput['given']>) {
  const ranges = await rangesOf(cluster, partitions, signal);
  const before = positionsOf(given.positions);
  const starts = decodeStarts(given.positions.get(NOTEBOOK));
  return new Map(
    partitions.map((partition) => {
      const name = partitionName(partition);
      const { first, end } = ranges.get(name)!;
      const position = before.get(name) ?? starts?.get(name);
      const kept = given.decision === 'skip' && position?.topic_id === partition.topicId ? position.offset : first;
      return [name, at(partition, Math.min(Math.max(kept, first), end))] as const;
    }),
  );
}
