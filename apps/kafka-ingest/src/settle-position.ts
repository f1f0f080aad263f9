import { StreamError, type Positions } from '@planasonix/core';
import { partitionName, type KafkaCluster } from '@planasonix/kafka';
import { z } from 'zod';
import { rangesOf, type Partition, type Range } from './partitions.js';
import { encodePosition, encodeStarts, NOTEBOOK } from './position.js';

/** `{"orders": {"0": 42, "1": "earliest"}}` */
const wantedSchema = z.record(
  z.string(),
  z.record(z.string().regex(/^\d{1,6}$/), z.union([z.int().min(0), z.enum(['earliest', 'latest'])])),
);

const EXAMPLE = 'Give topic, partition and offset: {"orders":{"0":42,"1":"earliest"}}.';

export interface SettleInput {
  readonly cluster: KafkaCluster;
  readonly partitions: readonly Partition[];
  readonly signal: AbortSignal;
}

const offsetOf = (wanted: number | 'earliest' | 'latest', { first, end }: Range): number =>
  wanted === 'earliest' ? first : wanted === 'latest' ? end : wanted;

/**
 * Partitions that are named go where the user says, all others stay where they are.
 * @throws StreamError `config_invalid` for what is no position, `offset_out_of_range` for one that the broker has not
 */
export async function settlePosition(input: SettleInput, wanted: unknown, from: Positions): Promise<Positions> {
  const parsed = wantedSchema.safeParse(wanted);
  if (!parsed.success) throw new StreamError('config_invalid', `That is not a position of kafka. ${EXAMPLE}`);
  const { cluster, partitions, signal } = input;
  const ranges = await rangesOf(cluster, partitions, signal);
  const settled = new Map(from);
  for (const [topic, offsets] of Object.entries(parsed.data))
    for (const [index, place] of Object.entries(offsets)) {
      const partition = partitions.find((one) => one.topic === topic && one.partition === Number(index));
      if (!partition)
        throw new StreamError('config_invalid', `The stream has no partition ${topic}/${index}. ${EXAMPLE}`);
      const name = partitionName(partition);
      const range = ranges.get(name)!;
      const offset = offsetOf(place, range);
      if (offset < range.first || offset > range.end)
        throw new StreamError('offset_out_of_range', `${name} holds ${range.first} to ${range.end}, not ${offset}.`, {
          hint: 'Choose an offset that the broker holds.',
        });
      settled.set(name, encodePosition({ topicId: partition.topicId, offset, leaderEpoch: -1 }));
    }
  // From here on reading has begun: partitions without a position start at their first record.
  if (!settled.has(NOTEBOOK)) settled.set(NOTEBOOK, encodeStarts(new Map()));
  return settled;
}
