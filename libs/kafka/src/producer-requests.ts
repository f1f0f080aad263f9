import type { Call } from './client.js';
import { KafkaError } from './connection-error.js';

/** Who writes: numbers that the coordinator gave. An older epoch of the same producer is refused by every broker. */
export interface ProducerIdentity {
  readonly transactionalId: string;
  readonly producerId: number;
  readonly producerEpoch: number;
}

export function grouped<T, K>(items: readonly T[], keyOf: (item: T) => K): ReadonlyMap<K, readonly T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
}

const TRANSACTION = 1;
const ALL = -1;

/** Which broker decides about the transactions of a name. */
export const transactionCoordinatorCall = (transactionalId: string): Call<number> => ({
  name: 'FindCoordinator',
  key: 10,
  versions: [3],
  encode: (to) => to.string(transactionalId).int8(TRANSACTION).tags(),
  decode(from) {
    from.int32();
    const error = from.int16();
    from.nullableString();
    const node = from.int32();
    if (error !== 0) throw new KafkaError(error, 'looking for the coordinator of the transactions');
    return node;
  },
});

/**
 * Ends whatever an older producer of this name has open, and bars it.
 * @param as who asks for a new epoch of its own: refused where it is not the newest any more
 */
export const initProducerCall = (
  transactionalId: string,
  timeoutMs: number,
  as: Pick<ProducerIdentity, 'producerId' | 'producerEpoch'> = { producerId: -1, producerEpoch: -1 },
): Call<Pick<ProducerIdentity, 'producerId' | 'producerEpoch'>> => ({
  name: 'InitProducerId',
  key: 22,
  versions: [4, 3],
  encode: (to) => to.string(transactionalId).int32(timeoutMs).int64(as.producerId).int16(as.producerEpoch).tags(),
  decode(from) {
    from.int32();
    const error = from.int16();
    if (error !== 0) throw new KafkaError(error, 'beginning as the producer');
    return { producerId: from.int64(), producerEpoch: from.int16() };
  },
});

/** Partitions of topics, by name. */
export type TopicPartitions = ReadonlyMap<string, readonly number[]>;

export const addPartitionsCall = (identity: ProducerIdentity, topics: TopicPartitions): Call<void> => ({
  name: 'AddPartitionsToTxn',
  key: 24,
  versions: [3],
  encode: (to) =>
    to
      .string(identity.transactionalId)
      .int64(identity.producerId)
      .int16(identity.producerEpoch)
      .array([...topics], ([topic, partitions]) => {
        to.string(topic);
        to.array(partitions, (partition) => to.int32(partition));
        to.tags();
      })
      .tags(),
  decode(from) {
    from.int32();
    const codes = from.array(() => {
      const topic = from.string();
      const found = from.array(() => {
        const answer = { about: `${topic}/${from.int32()}`, error: from.int16() };
        from.tags();
        return answer;
      });
      from.tags();
      return found;
    });
    // Where one is refused, the others are told 55: not tried.
    const refused = codes.flat().filter(({ error }) => error !== 0);
    const why = refused.find(({ error }) => error !== 55) ?? refused[0];
    if (why) throw new KafkaError(why.error, `adding ${why.about} to the transaction`);
  },
});

/** May be sent again: once decided, the same decision is answered with success. */
export const endTransactionCall = (identity: ProducerIdentity, commit: boolean): Call<void> => ({
  name: 'EndTxn',
  key: 26,
  versions: [3],
  encode: (to) =>
    to.string(identity.transactionalId).int64(identity.producerId).int16(identity.producerEpoch).bool(commit).tags(),
  decode(from) {
    from.int32();
    const error = from.int16();
    if (error !== 0) throw new KafkaError(error, commit ? 'committing the transaction' : 'giving up the transaction');
  },
});

/** One batch of one partition. */
export interface ProduceWish {
  readonly topic: string;
  readonly partition: number;
  readonly batch: Buffer;
}

export interface Produced {
  readonly topic: string;
  readonly partition: number;
  /** 0, or a code of the protocol. */
  readonly error: number;
  /** Of the batch's first record; -1 where the broker no longer knows. */
  readonly baseOffset: number;
}

/** Answered when every replica in sync has the records. */
export const produceCall = (
  transactionalId: string,
  wishes: readonly ProduceWish[],
  timeoutMs: number,
): Call<Produced[]> => ({
  name: 'Produce',
  key: 0,
  versions: [9],
  encode: (to) =>
    to
      .string(transactionalId)
      .int16(ALL)
      .int32(timeoutMs)
      .array([...grouped(wishes, ({ topic }) => topic)], ([topic, partitions]) => {
        to.string(topic);
        to.array(partitions, ({ partition, batch }) =>
          to
            .int32(partition)
            .uvarint(batch.length + 1)
            .raw(batch)
            .tags(),
        );
        to.tags();
      })
      .tags(),
  decode(from) {
    const answers = from.array(() => {
      const topic = from.string();
      const partitions = from.array((): Produced => {
        const answer = { topic, partition: from.int32(), error: from.int16(), baseOffset: from.int64() };
        from.int64(); // the broker's time
        from.int64(); // start of the log
        from.array(() => {
          from.int32();
          from.nullableString();
          from.tags();
        });
        from.nullableString();
        from.tags();
        return answer;
      });
      from.tags();
      return partitions;
    });
    return answers.flat();
  },
});
