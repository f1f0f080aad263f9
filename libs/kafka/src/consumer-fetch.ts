import type { WireReader } from './client-wire.js';
import type { Call } from './client.js';
import type { AbortedTransaction } from './consumer-committed.js';
import { KafkaError } from './connection-error.js';

export interface FetchWish {
  readonly topicId: string;
  readonly partition: number;
  readonly offset: number;
  /** Of the last record before `offset`, -1 where it is not known: the broker compares it with its own history. */
  readonly leaderEpoch: number;
  /** See `newestEpoch`; -1: not known. */
  readonly currentEpoch: number;
}

export interface Fetched {
  readonly topicId: string;
  readonly partition: number;
  /** 0, or a code of the protocol. */
  readonly error: number;
  /** End of what is decided: transactions that are open lie behind it. */
  readonly end: number;
  readonly logStart: number;
  readonly aborted: readonly AbortedTransaction[];
  readonly records: Buffer | null;
  /** The broker's log parted from ours at this offset: it was cut back, and written anew. */
  readonly divergedAt: number | null;
}

export interface FetchLimits {
  /** How long a broker may wait for the first byte. Milliseconds. */
  readonly maxWaitMs: number;
  /** One batch may be larger: it comes whole. */
  readonly maxBytes: number;
  readonly partitionBytes: number;
  /** Also what is not decided yet, and what was given up: markers then tell which is which. */
  readonly undecided?: boolean;
}

const NO_SESSION = { id: 0, epoch: -1 } as const;
const READ_UNCOMMITTED = 0;
const READ_COMMITTED = 1;
const DIVERGING_EPOCH_TAG = 0;

/** By topic id: a topic that was made anew under the same name is another topic. */
export const fetchCall = (wishes: readonly FetchWish[], limits: FetchLimits): Call<Fetched[]> => ({
  name: 'Fetch',
  key: 1,
  versions: [13],
  encode(to) {
    to.int32(-1)
      .int32(limits.maxWaitMs)
      .int32(1)
      .int32(limits.maxBytes)
      .int8(limits.undecided ? READ_UNCOMMITTED : READ_COMMITTED);
    to.int32(NO_SESSION.id).int32(NO_SESSION.epoch);
    // One entry each: the order is the broker's order of filling the answer, and ours to turn.
    to.array(wishes, ({ topicId, partition, offset, leaderEpoch, currentEpoch }) => {
      to.uuid(topicId).array([partition], (index) => {
        to.int32(index)
          .int32(currentEpoch)
          .int64(offset)
          .int32(leaderEpoch)
          .int64(-1)
          .int32(limits.partitionBytes)
          .tags();
      });
      to.tags();
    });
    to.array([], () => undefined)
      .string('')
      .tags();
  },
  decode(from) {
    from.int32();
    const error = from.int16();
    if (error !== 0) throw new KafkaError(error, 'reading');
    from.int32();
    const answers = from.array(() => {
      const topicId = from.uuid();
      const partitions = from.array(() => fetchedOf(topicId, from));
      from.tags();
      return partitions;
    });
    return answers.flat();
  },
});

function fetchedOf(topicId: string, from: WireReader): Fetched {
  const partition = from.int32();
  const error = from.int16();
  from.int64(); // high watermark
  const end = from.int64();
  const logStart = from.int64();
  const aborted = from.array(() => {
    const one = { producerId: from.int64(), firstOffset: from.int64() };
    from.tags();
    return one;
  });
  from.int32(); // preferred replica
  const records = from.raw();
  let divergedAt: number | null = null;
  from.tags((tag, field) => {
    if (tag !== DIVERGING_EPOCH_TAG) return;
    field.int32();
    divergedAt = field.int64();
  });
  return { topicId, partition, error, end, logStart, aborted, records, divergedAt };
}
