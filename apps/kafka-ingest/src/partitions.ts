import { StreamError, type Positions } from '@planasonix/core';
import {
  EARLIEST,
  LATEST,
  partitionName,
  type ClusterView,
  type KafkaCluster,
  type OffsetAsk,
  type OffsetFound,
  type Place,
  type ReadSoFar,
  type TopicView,
} from '@planasonix/kafka';
import { isWanted, type KafkaConfig } from './config.js';
import { decodePosition, type KafkaPosition } from './position.js';

/** A partition that there is. */
export type Partition = Pick<Place, 'topic' | 'topicId' | 'partition'>;

const NOT_THERE = 3;
const DENIED = 29;

export const topicMissing = (topic: string): StreamError =>
  new StreamError('topic_missing', `There is no topic ${topic}.`);

export const topicDenied = (topic: string, user: string | null): StreamError =>
  new StreamError('permission_denied', `The user may not read the topic ${topic}.`, {
    hint: `kafka-acls.sh --bootstrap-server … --add --allow-principal User:${user ?? 'ANONYMOUS'} --operation Read --operation Describe --topic '${topic}'`,
  });

/** The topics of the stream as they are now, also its own output. A pattern has to look at all that there are. */
export async function wantedTopics(
  cluster: KafkaCluster,
  config: KafkaConfig,
  signal: AbortSignal,
): Promise<readonly TopicView[]> {
  const { topics, pattern } = config;
  const view: ClusterView = await cluster.sureView(pattern === null ? topics : null, topics, signal);
  const found = view.topics.filter(({ topic, internal }) => isWanted(config, topic, internal));
  const missing = config.topics.filter((name) => !found.some(({ topic }) => topic === name));
  return [...found, ...missing.map((topic) => ({ ...NOWHERE, topic }))];
}

const NOWHERE = { id: '', error: NOT_THERE, internal: false, partitions: [], may: null } as const;

/**
 * Every partition of the stream's topics.
 * @throws StreamError `topic_missing`, `permission_denied` for one that the config names; `source_unreachable` where
 * the cluster can't tell now
 */
export function partitionsOf(topics: readonly TopicView[], config: KafkaConfig, user: string | null): Partition[] {
  const found: Partition[] = [];
  for (const { topic, id, error, partitions } of topics) {
    if (error === 0) for (const { partition } of partitions) found.push({ topic, topicId: id, partition });
    else if (!config.topics.includes(topic)) continue;
    else if (error === NOT_THERE) throw topicMissing(topic);
    else if (error === DENIED) throw topicDenied(topic, user);
    else throw new StreamError('source_unreachable', `The brokers can't tell about the topic ${topic} yet.`);
  }
  return found;
}

export interface Range {
  readonly first: number;
  readonly end: number;
}

/** A partition, and with `leaderEpoch` the leader of whom the last record was read there. */
type Asked = Pick<Place, 'topic' | 'partition'> & Partial<ReadSoFar>;

/** What the brokers hold of each partition: `topic/partition` → from `first` to before `end`. */
export async function rangesOf(
  cluster: KafkaCluster,
  partitions: readonly Asked[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Range>> {
  const [first, end] = await Promise.all([
    offsetsAt(cluster, partitions, EARLIEST, signal),
    offsetsAt(cluster, partitions, LATEST, signal),
  ]);
  return new Map(
    [...first].map(([name, { offset }]) => [name, { first: offset, end: end.get(name)?.offset ?? offset }]),
  );
}

/** @throws StreamError of a partition that is not there or may not be read */
export async function offsetsAt(
  cluster: KafkaCluster,
  partitions: readonly Asked[],
  timestamp: number,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, OffsetFound>> {
  const asks = partitions.map(({ topic, partition, topicId, leaderEpoch = -1 }): OffsetAsk => ({
    ...{ topic, partition, timestamp },
    ...(topicId === undefined ? {} : { read: { topicId, leaderEpoch } }),
  }));
  const found = asks.length === 0 ? [] : await cluster.offsets(asks, signal);
  for (const { topic, partition, error } of found) {
    if (error === NOT_THERE) throw topicMissing(topic);
    if (error === DENIED) throw topicDenied(topic, cluster.user);
    if (error !== 0) throw new StreamError('internal', `The broker gave error ${error} for ${topic}/${partition}.`);
  }
  return new Map(found.map((one) => [partitionName(one), one]));
}

/** The positions of partitions, without the notebook. */
export const positionsOf = (positions: Positions): ReadonlyMap<string, KafkaPosition> =>
  new Map([...positions].filter(([name]) => !name.startsWith('#')).map(([name, text]) => [name, decodePosition(text)]));

const goOn = (name: string, at: number | string): string =>
  `Start with {"onLostPosition":"skip"} to go on at ${at} of ${name} and where they were in all others, with {"onLostPosition":"resnapshot"} to read all records again, or set the position of ${name} while the stream is stopped.`;

/** Invariant 4: an id is made of the place, and places of a log that was cut back are given again. */
const givenAgain = (from: number): string =>
  ` After "resnapshot", records that were written from ${from} on after the cut have the ids of those that were there before it: who drops repeats by id drops them where the older ones were delivered.`;

/** Why a position is no place of its partition: its records are gone, or the topic of that name is another one by now. */
export async function lostPlace(
  cluster: KafkaCluster,
  place: Pick<Place, 'topic' | 'topicId' | 'partition' | 'offset'>,
  range: Range,
): Promise<StreamError> {
  const [topic] = (await cluster.view([place.topic])).topics;
  const name = partitionName(place);
  if (topic?.error === 0 && topic.id !== place.topicId) return recreated(name);
  // One that refused it may lead no more, and not know yet what others have written.
  return place.offset >= range.first && place.offset <= range.end
    ? new StreamError('source_unreachable', `The brokers do not agree on what they hold of ${name}.`)
    : outOfRange(name, place.offset, range);
}

/** Invariant 2. */
export function outOfRange(name: string, offset: number, range: Range): StreamError {
  const held = range.first === range.end ? `nothing, the next is ${range.end}` : `${range.first} to ${range.end - 1}`;
  const what =
    offset < range.first
      ? `Records ${offset} to ${range.first - 1} of ${name} are gone`
      : `${name} ends before our position ${offset}`;
  const hint = offset < range.first ? goOn(name, range.first) : goOn(name, range.end) + givenAgain(range.end);
  return new StreamError('offset_out_of_range', `${what}: the broker holds ${held}.`, { hint });
}

/** @param at where the broker's log parted from ours */
export const cutBack = (name: string, at: number, offset: number): StreamError =>
  new StreamError(
    'offset_out_of_range',
    `${name} was cut back to ${at} and written anew (an unclean change of leader): our position is ${offset}.`,
    { hint: goOn(name, `${offset} (or at the end, where that comes first)`) + givenAgain(at) },
  );

export const recreated = (name: string): StreamError =>
  new StreamError(
    'topic_recreated',
    `The topic of ${name} was deleted and made anew: our position belongs to the old one.`,
  );
