import { StreamError, type Positions } from '@planasonix/core';
import { partitionName, type KafkaCluster } from '@planasonix/kafka';
import { z } from 'zod';
import { rangesOf, type Partition, type Range } from './partitions.js';
import { encodePosition, encodeStarts, NOTEBOOK } from './position.js';

const place = z.union([z.int().min(0), z.enum(['earliest', 'latest'])]);
/** `{"orders": {"0": 42, "1": "earliest"}}` */
const byTopic = z.record(z.string(), z.record(z.string().regex(/^\d{1,6}$/), place));
/** `{"orders/0": {"offset": 42, …}}`, as positions are shown. */
const byPartition = z.record(z.string().regex(/^.+\/\d{1,6}$/), z.looseObject({ offset: place }));

type Wanted = readonly (readonly [topic: string, partition: number, place: z.output<typeof place>])[];

function wantedOf(given: unknown): Wanted | null {
  const shown = byPartition.safeParse(given);
  if (shown.success)
    return Object.entries(shown.data).map(([name, { offset }]) => {
      const slash = name.lastIndexOf('/');
      return [name.slice(0, slash), Number(name.slice(slash + 1)), offset] as const;
    });
  const topics = byTopic.safeParse(given);
  if (!topics.success) return null;
  return Object.entries(topics.data).flatMap(([topic, offsets]) =>
    Object.entries(offsets).map(([index, offset]) => [topic, Number(index), offset] as const),
  );
}

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
  const places = wantedOf(wanted);
  if (places === null) throw new StreamError('config_invalid', `That is not a position of kafka. ${EXAMPLE}`);
  const { cluster, partitions, signal } = input;
  const ranges = await rangesOf(cluster, partitions, signal);
  const settled = new Map(from);
  for (const [topic, index, chosen] of places) {
    const partition = partitions.find((one) => one.topic === topic && one.partition === index);
    if (!partition)
      throw new StreamError('config_invalid', `The stream has no partition ${topic}/${index}. ${EXAMPLE}`);
    const name = partitionName(partition);
    const range = ranges.get(name)!;
    const offset = offsetOf(chosen, range);
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
