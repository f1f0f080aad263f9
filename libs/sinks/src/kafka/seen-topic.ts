import { StreamError, type Clock } from '@planasonix/core';
import { changeSettings, KafkaError, topicSettings, type OutRecord, type PartitionRecords } from '@planasonix/kafka';
import { journalTopic } from './journal.js';
import type { Reached } from './kafka-cluster.js';
import { forgottenIn, OwnTopic, unset, type CommittedChunk, type TopicEnds } from './own-topic.js';
import { otherLog } from './writer.js';

/** What makes a repeated delivery known, by its name. */
export interface Known {
  readonly name: string;
  /** `first` and `other`: a delivery, under its id or under its other id. `id`: that an id was met. */
  readonly as: 'first' | 'other' | 'id';
  /** From then on it is none, ms since the Unix epoch. */
  readonly untilMs: number;
}

/** What is read of it: deliveries, and who entered last among them. */
export interface SeenChunk {
  readonly known: readonly Known[];
  readonly entrant: string | null;
  readonly next: number;
}

const ENTRANT_KEY = 'entrant';
const DAY_MS = 86_400_000;
/** Longer than a delivery is known: clocks differ. */
const SLACK_MS = DAY_MS;
/** With `compact` beside it, it is not taken for one that is to go (`sweepJournals`). */
const keptFor = (windowMs: number) => ({
  'cleanup.policy': 'compact,delete',
  'retention.ms': String(windowMs + SLACK_MS),
  // Whatever the brokers are set to: it is forgotten by its age alone.
  'retention.bytes': '-1',
});
const PIECES = { 'segment.bytes': String(64 * 1024 * 1024), 'segment.ms': String(DAY_MS) } as const;
/** What streams have unless they say otherwise, and what they may have. */
const WINDOW_MS = { usual: 3 * DAY_MS, longest: 30 * DAY_MS } as const;
const APPEARS_MS = 10_000;
const ASK_AGAIN_MS = 50;

export const seenTopic = (streamId: string): string => `${journalTopic(streamId)}.seen`;

/** The topic of ours in which a stream of deliveries keeps what it has taken in, written with the events themselves. */
export class SeenTopic {
  readonly topic: string;
  readonly #records: OwnTopic;
  /** Records are kept for this window, as far as is known. */
  #windowMs = 0;

  constructor(
    streamId: string,
    private readonly reached: Reached,
    private readonly clock: Clock,
    /** -1: as the brokers are set. */
    private readonly replicationFactor: number,
  ) {
    this.topic = seenTopic(streamId);
    this.#records = new OwnTopic(this.topic, reached, clock);
  }

  /** See `OwnTopic.look`. */
  look(signal: AbortSignal, surely = false): Promise<TopicEnds | null> {
    return this.#records.look(signal, surely);
  }

  /** Makes it where it is not. @returns how it is, once every broker that is asked knows it */
  async made(signal: AbortSignal): Promise<TopicEnds> {
    const { topic, clock, reached, replicationFactor } = this;
    const settings = { ...keptFor(WINDOW_MS.usual), ...PIECES };
    const until = clock.monotonic() + APPEARS_MS;
    for (let asked = false; ;) {
      const ends = await this.look(signal).catch((error: unknown) => {
        // Made a moment ago, it has no leader yet.
        if (!asked || !(error instanceof KafkaError)) throw error;
        return null;
      });
      if (ends !== null) return ends;
      if (!asked) await reached.admin.create({ topic, partitions: 1, replicationFactor, settings });
      asked = true;
      if (clock.monotonic() > until || !(await clock.sleep(ASK_AGAIN_MS, signal)))
        throw new StreamError('log_unavailable', `The topic ${topic} can not be made.`);
    }
  }

  /**
   * As it was made, or for longer where it was kept for longer: nothing in it is forgotten early. One that was kept for
   * ever, or may not be looked at, is kept for what suffices for all. What somebody else has set is left as it is otherwise.
   */
  async keep(): Promise<void> {
    const { reached, topic } = this;
    const kept = Number((await topicSettings(reached.cluster, topic))?.get('retention.ms') ?? -1);
    const windowMs = kept < 0 ? WINDOW_MS.longest : Math.max(WINDOW_MS.usual, kept - SLACK_MS);
    await changeSettings(reached.cluster, topic, { ...(await unset(reached, topic, PIECES)), ...keptFor(windowMs) });
  }

  /**
   * Has its records kept for a window; for a longer one than is wanted now where they were.
   * @throws StreamError `offset_gap` where it is to go: the stream was deleted meanwhile
   */
  async keepFor(windowMs: number): Promise<void> {
    if (windowMs <= this.#windowMs) return;
    const { cluster } = this.reached;
    const settings = await topicSettings(cluster, this.topic);
    if (settings?.get('cleanup.policy') === 'delete') throw otherLog();
    const kept = settings?.get('retention.ms');
    // What may not be looked at is set to what suffices for all.
    const wanted = kept === undefined ? WINDOW_MS.longest : windowMs;
    if (kept === undefined || (Number(kept) >= 0 && Number(kept) < windowMs + SLACK_MS))
      await changeSettings(cluster, this.topic, keptFor(wanted));
    this.#windowMs = wanted;
  }

  /** Lets the broker forget it `seconds` from now on. */
  expire(seconds: number): Promise<void> {
    return changeSettings(this.reached.cluster, this.topic, forgottenIn(seconds));
  }

  /** What is committed, from an offset to the end. */
  async *read(ends: TopicEnds, from: number): AsyncGenerator<SeenChunk, void, undefined> {
    for await (const chunk of this.#records.read(ends, from)) yield seenIn(chunk);
  }

  entering(session: string): PartitionRecords {
    return this.#part([{ key: Buffer.from(ENTRANT_KEY), value: Buffer.from(session), headers: [] }]);
  }

  remembering(known: readonly Known[]): PartitionRecords {
    return this.#part(
      known.map(({ name, as, untilMs }) => ({
        key: Buffer.from(name),
        value: Buffer.from(`${as} ${untilMs}`),
        headers: [],
      })),
    );
  }

  #part(records: readonly OutRecord[]): PartitionRecords {
    return { topic: this.topic, partition: 0, records };
  }
}

function seenIn({ records, next }: CommittedChunk): SeenChunk {
  const known: Known[] = [];
  let entrant: string | null = null;
  for (const { key, value } of records) {
    const [name, text] = [key?.toString() ?? '', value?.toString() ?? ''];
    if (name === ENTRANT_KEY) entrant = text;
    else known.push(...knownOf(name, text));
  }
  return { known, entrant, next };
}

function knownOf(name: string, text: string): Known[] {
  const [as, until] = text.split(' ');
  const untilMs = Number(until);
  return (as === 'first' || as === 'other' || as === 'id') && Number.isFinite(untilMs) ? [{ name, as, untilMs }] : [];
}
