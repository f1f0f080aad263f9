import { StreamError, type Clock } from '@planasonix/core';
import type { KafkaCluster } from './client-cluster.js';
import { KafkaError, MOVED, toStreamError } from './connection-error.js';
import { grouped, produceCall, type Produced, type ProducerIdentity, type ProduceWish } from './producer-requests.js';
import type { ProducerRoutes } from './producer-routes.js';
import { BATCH_OVERHEAD, encodeBatch, recordSize, type OutRecord } from './record-batch.js';
import { lostOr, PATIENCE_MS } from './transaction-lost.js';

export interface PartitionRecords {
  readonly topic: string;
  readonly partition: number;
  readonly records: readonly OutRecord[];
}

export interface WriterOptions {
  readonly cluster: KafkaCluster;
  readonly clock: Clock;
  readonly routes: ProducerRoutes;
  readonly identity: ProducerIdentity;
  readonly signal: AbortSignal;
  readonly firstSequence?: number;
}

/** How long a broker may wait for the replicas. */
const REPLICAS_MS = 8_000;
const AGAIN_MS = 50;
const DUPLICATE_SEQUENCE = 46;
/** Too few replicas in sync; the leader has it already in the second case, and knows it again by its sequence. */
const TOO_FEW: ReadonlySet<number> = new Set([19, 20]);

/** The batch, or the list of them, is larger than the topic takes: nothing of it was written. */
const TOO_LARGE: ReadonlySet<number> = new Set([10, 18]);

interface Sending extends ProduceWish {
  readonly records: readonly OutRecord[];
  readonly sequence: number;
  /** Sent once this one is written. */
  readonly behind: Sending | null;
}

interface Failed {
  readonly sending: Sending;
  readonly why: unknown;
}

interface Round {
  /** To be sent again. */
  readonly failed: readonly Failed[];
  /** To be sent now. */
  readonly next: readonly Sending[];
}

/** Sequences and places of one producer epoch, and its batches on their way. */
export class TransactionWriter {
  /** Of the next batch, by `topic/partition`. */
  readonly #sequences = new Map<string, number>();
  readonly #lastOffsets = new Map<string, number>();

  constructor(private readonly options: WriterOptions) {}

  /** Several partitions side by side; of each one batch after the other. */
  async write(parts: readonly PartitionRecords[]): Promise<void> {
    const pending = await Promise.all(
      parts.map(async ({ topic, partition, records }) => {
        const { maxBytes } = await this.options.routes.topic(topic);
        return { topic, partition, chunks: chunksOf(records, maxBytes) };
      }),
    );
    for (;;) {
      const round = pending.flatMap(({ topic, partition, chunks }): Sending[] => {
        const step = chunks.next();
        return step.done ? [] : [this.#batch(topic, partition, step.value)];
      });
      if (round.length === 0) return;
      await this.#sendAll(round);
    }
  }

  #batch(topic: string, partition: number, records: readonly OutRecord[]): Sending {
    const name = `${topic}/${partition}`;
    const sequence = this.#sequences.get(name) ?? this.options.firstSequence ?? 0;
    this.#sequences.set(name, following(sequence, records));
    return this.#sending({ topic, partition, records, sequence, behind: null });
  }

  #sending(of: Omit<Sending, 'batch'>): Sending {
    const { producerId, producerEpoch } = this.options.identity;
    const identity = { producerId, producerEpoch, sequence: of.sequence, timestamp: this.options.clock.now() };
    return { ...of, batch: encodeBatch(of.records, identity) };
  }

  /** The first half, and the other one behind it: together they have the sequences that the whole had. */
  #halved({ topic, partition, records, sequence, batch, behind }: Sending): Sending {
    this.options.routes.refused(topic, batch.length);
    const middle = Math.ceil(records.length / 2);
    const first = records.slice(0, middle);
    const rest = { topic, partition, records: records.slice(middle), sequence: following(sequence, first), behind };
    return this.#sending({ topic, partition, records: first, sequence, behind: this.#sending(rest) });
  }

  /** What has been answered is not sent again; what has not is sent as it was, to whoever leads then. */
  async #sendAll(round: readonly Sending[]): Promise<void> {
    const { cluster, clock, routes, signal } = this.options;
    const until = clock.monotonic() + PATIENCE_MS;
    for (let open = round; open.length > 0;) {
      const { turn } = cluster;
      const { failed, next } = await this.#sendRound(open);
      open = [...failed.map(({ sending }) => sending), ...next];
      if (failed.length === 0) continue;
      const { topic, partition } = open[0]!;
      if (signal.aborted || clock.monotonic() > until)
        throw toStreamError(failed[0]!.why, `writing to ${topic}/${partition}`);
      await clock.sleep(AGAIN_MS, signal);
      // Who told of these leaders may be cut off from its controllers, and tell of them for long.
      cluster.doubt(turn);
      await routes.refresh([...new Set(open.map((one) => one.topic))]).catch((error: unknown) => {
        if (toStreamError(error, 'asking who leads').code !== 'source_unreachable') throw error;
      });
    }
  }

  async #sendRound(round: readonly Sending[]): Promise<Round> {
    const { cluster, routes, identity } = this.options;
    const byLeader = grouped(round, ({ topic, partition }) => routes.leader(topic, partition));
    const outcomes = await Promise.all(
      [...byLeader].map(async ([node, sendings]): Promise<Round> => {
        const all = (why: unknown) => ({ failed: sendings.map((sending) => ({ sending, why })), next: [] });
        if (node < 0) return all(new StreamError('source_unreachable', 'Nobody leads the partition.'));
        let answers: readonly Produced[];
        try {
          answers = await cluster.send(node, 'produce', produceCall(identity.transactionalId, sendings, REPLICAS_MS));
        } catch (error) {
          const failure = toStreamError(error, 'writing');
          if (failure.code !== 'source_unreachable') throw failure;
          return all(failure);
        }
        const judged = sendings.map((sending) => this.#judge(sending, answers));
        return { failed: judged.flatMap(({ failed }) => failed), next: judged.flatMap(({ next }) => next) };
      }),
    );
    return { failed: outcomes.flatMap(({ failed }) => failed), next: outcomes.flatMap(({ next }) => next) };
  }

  /** @throws when to send it again would not help */
  #judge(sending: Sending, answers: readonly Produced[]): Round {
    const { topic, partition, records, behind } = sending;
    const again = (why: unknown): Round => ({ failed: [{ sending, why }], next: [] });
    const written: Round = { failed: [], next: behind === null ? [] : [behind] };
    const name = `${topic}/${partition}`;
    const answer = answers.find((one) => one.topic === topic && one.partition === partition);
    if (!answer) return again(new StreamError('source_unreachable', `The broker did not answer for ${name}.`));
    const { error, baseOffset } = answer;
    if (error === 0 && baseOffset >= 0) {
      // A batch that the broker took for an older one was not written (trap 25a).
      if (baseOffset <= (this.#lastOffsets.get(name) ?? -1))
        throw new StreamError('internal', `${name} took a batch for one that it had.`);
      this.#lastOffsets.set(name, baseOffset);
      return written;
    }
    if (error === 0 || error === DUPLICATE_SEQUENCE) return written;
    if (TOO_LARGE.has(error) && records.length > 1) return { failed: [], next: [this.#halved(sending)] };
    const failure = new KafkaError(error, `writing to ${name}`);
    if (MOVED.has(error) || TOO_FEW.has(error) || error === 3) return again(failure);
    throw lostOr(failure) as Error;
  }
}

/** It goes on at 0 after 2^31 - 1. */
const following = (sequence: number, records: readonly OutRecord[]): number => (sequence + records.length) % 2 ** 31;

/** As many records as one batch takes; one that is too large goes alone, and the broker refuses it. */
function* chunksOf(records: readonly OutRecord[], maxBytes: number): Generator<readonly OutRecord[], undefined> {
  let from = 0;
  let bytes = BATCH_OVERHEAD;
  for (let i = 0; i < records.length; i++) {
    const size = recordSize(records[i]!);
    if (i > from && bytes + size > maxBytes) {
      yield records.slice(from, i);
      from = i;
      bytes = BATCH_OVERHEAD;
    }
    bytes += size;
  }
  if (from < records.length) yield records.slice(from);
}
