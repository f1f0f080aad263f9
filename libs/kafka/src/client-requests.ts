import type { WireReader, WireWriter } from './client-wire.js';
import type { BrokerAddress } from './config.js';
import type { Call } from './client.js';
import { KafkaError } from './connection-error.js';

export interface PartitionView {
  readonly partition: number;
  /** Node id; -1 while there is none. */
  readonly leader: number;
  readonly leaderEpoch: number;
  /** How many nodes have it, or should have. */
  readonly replicas: number;
  /** 0, or a code of the protocol. */
  readonly error: number;
}

export interface TopicView {
  readonly topic: string;
  /** 32 hexadecimal digits; a topic that is made anew has another one. */
  readonly id: string;
  /** 0, or a code of the protocol: 3 not there, 29 not authorised. */
  readonly error: number;
  readonly internal: boolean;
  readonly partitions: readonly PartitionView[];
  /** What the user may do with it; `null`: that was not asked. */
  readonly may: ReadonlySet<TopicOperation> | null;
}

/** Codes of the protocol's operations. */
const OPERATIONS = { read: 3, write: 4, create: 5, describe: 8 } as const;
export type TopicOperation = keyof typeof OPERATIONS;
const NOT_ASKED = -(2 ** 31);

function operationsOf(bits: number): ReadonlySet<TopicOperation> | null {
  if (bits === NOT_ASKED) return null;
  const all = Object.entries(OPERATIONS) as [TopicOperation, number][];
  return new Set(all.filter(([, code]) => (bits & (1 << code)) !== 0).map(([operation]) => operation));
}

export interface ClusterView {
  readonly clusterId: string | null;
  readonly brokers: ReadonlyMap<number, BrokerAddress>;
  readonly topics: readonly TopicView[];
}

const NIL_ID = '0'.repeat(32);

function byTopic<T extends { readonly topic: string }>(items: readonly T[]): (readonly [string, readonly T[]])[] {
  const topics = new Map<string, T[]>();
  for (const item of items) topics.set(item.topic, [...(topics.get(item.topic) ?? []), item]);
  return [...topics];
}

/**
 * @param topics `null`: all that we may see. Nothing is created by asking.
 * @param operations also what the user may do with them
 */
export const metadataCall = (topics: readonly string[] | null, operations = false): Call<ClusterView> => ({
  name: 'Metadata',
  key: 3,
  versions: [12],
  encode: (to) =>
    to
      .array(topics, (topic) => to.uuid(NIL_ID).string(topic).tags())
      .bool(false)
      .bool(operations)
      .tags(),
  decode(from) {
    from.int32(); // throttled so long
    const brokers = new Map(
      from.array(() => {
        const broker = [from.int32(), { host: from.string(), port: from.int32() }] as const;
        from.nullableString(); // rack
        from.tags();
        return broker;
      }),
    );
    const clusterId = from.nullableString();
    from.int32(); // controller
    return { clusterId, brokers, topics: from.array(() => topicOf(from)) };
  },
});

function topicOf(from: WireReader): TopicView {
  const error = from.int16();
  const topic = from.string();
  const id = from.uuid();
  const internal = from.bool();
  const partitions = from.array((): PartitionView => {
    const found = {
      error: from.int16(),
      partition: from.int32(),
      leader: from.int32(),
      leaderEpoch: from.int32(),
    };
    const [replicas] = [0, 1, 2].map(() => from.array(() => from.int32())); // all, in sync, offline
    from.tags();
    return { ...found, replicas: replicas!.length };
  });
  const may = operationsOf(from.int32());
  from.tags();
  return { topic, id, error, internal, partitions, may };
}

/** A place of a partition by time: ms since the Unix epoch, or one of these. */
export const EARLIEST = -2;
export const LATEST = -1;

export interface OffsetAsk {
  readonly topic: string;
  readonly partition: number;
  readonly timestamp: number;
  /** What was read of it: a broker that does not know of that leader yet is not believed. Absent: nothing was. */
  readonly read?: ReadSoFar;
}

export interface ReadSoFar {
  /** The topic that it was read in. */
  readonly topicId: string;
  /** Of the last record; -1 where it is not known. */
  readonly leaderEpoch: number;
}

/**
 * The newest leader of a partition that is known: a broker whose metadata is older refuses a request that names it (75), and
 * one that knows of a newer leader (74). Epochs of a topic that was made anew begin again.
 */
export function newestEpoch(topic: TopicView | undefined, partition: number, read?: ReadSoFar): number {
  const told = topic?.partitions.find((one) => one.partition === partition)?.leaderEpoch ?? -1;
  return read !== undefined && read.topicId === topic?.id ? Math.max(told, read.leaderEpoch) : told;
}

export interface LeaderAsk extends OffsetAsk {
  readonly currentEpoch: number;
}

export type OffsetEnd = 'decided' | 'written';

export interface OffsetFound extends OffsetAsk {
  /** 0, or a code of the protocol. */
  readonly error: number;
  /** -1: no record is so late. */
  readonly offset: number;
  readonly leaderEpoch: number;
}

/**
 * `LATEST` is the end of what is decided, which read_committed readers see, or of all that is `written`. What a
 * transaction wrote is decided some time after its commit was answered.
 */
export const offsetsCall = (asks: readonly LeaderAsk[], end: OffsetEnd): Call<OffsetFound[]> => {
  const topics = byTopic(asks);
  return {
    name: 'ListOffsets',
    key: 2,
    versions: [7, 6],
    encode: (to) =>
      to
        .int32(-1)
        .int8(end === 'decided' ? 1 : 0)
        .array(topics, ([topic, wanted]) => {
          to.string(topic);
          to.array(wanted, ({ partition, timestamp, currentEpoch }) =>
            to.int32(partition).int32(currentEpoch).int64(timestamp).tags(),
          );
          to.tags();
        })
        .tags(),
    decode(from) {
      from.int32();
      const found = from.array(() => {
        const topic = from.string();
        const partitions = from.array(() => {
          const [partition, error] = [from.int32(), from.int16()];
          from.int64(); // the record's time
          const [offset, leaderEpoch] = [from.int64(), from.int32()];
          from.tags();
          const timestamp = asks.find((ask) => ask.topic === topic && ask.partition === partition)?.timestamp ?? LATEST;
          return { topic, partition, timestamp, error, offset, leaderEpoch };
        });
        from.tags();
        return partitions;
      });
      return found.flat();
    },
  };
};

/** Which broker keeps a group. */
export const coordinatorCall = (group: string): Call<{ readonly node: number } & BrokerAddress> => ({
  name: 'FindCoordinator',
  key: 10,
  versions: [3],
  encode: (to) => to.string(group).int8(0).tags(),
  decode(from) {
    from.int32();
    const error = from.int16();
    from.nullableString();
    const found = { node: from.int32(), host: from.string(), port: from.int32() };
    if (error !== 0) throw new KafkaError(error, 'looking for the coordinator of the group');
    return found;
  },
});

export interface GroupOffset {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly leaderEpoch: number;
}

const TOPIC_GONE = 3;

/**
 * As a reader that is no member: what other people's tools look at. Never read by us. Of partitions that are gone there is
 * nothing to show.
 */
export const commitCall = (group: string, offsets: readonly GroupOffset[]): Call<void> => {
  const topics = byTopic(offsets);
  const partition = (to: WireWriter, { partition: index, offset, leaderEpoch }: GroupOffset) =>
    to.int32(index).int64(offset).int32(leaderEpoch).string(null).tags();
  return {
    name: 'OffsetCommit',
    key: 8,
    versions: [8],
    encode: (to) =>
      to
        .string(group)
        .int32(-1)
        .string('')
        .string(null)
        .array(topics, ([topic, wanted]) => {
          to.string(topic);
          to.array(wanted, (one) => partition(to, one));
          to.tags();
        })
        .tags(),
    decode(from) {
      from.int32();
      from.array(() => {
        from.string();
        from.array(() => {
          from.int32();
          const error = from.int16();
          from.tags();
          if (error !== 0 && error !== TOPIC_GONE) throw new KafkaError(error, 'committing the offsets of the group');
        });
        from.tags();
      });
    },
  };
};

export const deleteGroupCall = (group: string): Call<void> => ({
  name: 'DeleteGroups',
  key: 42,
  versions: [2],
  encode: (to) => to.array([group], (one) => to.string(one)).tags(),
  decode(from) {
    from.int32();
    from.array(() => {
      from.string();
      const error = from.int16();
      from.tags();
      if (error !== 0) throw new KafkaError(error, `deleting the group ${group}`);
    });
  },
});

/** State of a group: `Empty`, `Stable`, `Dead` (not there), … */
export const describeGroupCall = (group: string): Call<string> => ({
  name: 'DescribeGroups',
  key: 15,
  versions: [5],
  encode: (to) =>
    to
      .array([group], (one) => to.string(one))
      .bool(false)
      .tags(),
  decode(from) {
    from.int32();
    const [state] = from.array(() => {
      const error = from.int16();
      from.string();
      const found = from.string();
      if (error !== 0 && error !== 69) throw new KafkaError(error, `looking at the group ${group}`);
      return found;
    });
    return state ?? 'Dead';
  },
});
