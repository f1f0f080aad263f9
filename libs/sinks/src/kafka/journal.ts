import type { Clock, LogTotals, Position } from '@planasonix/core';
import { changeSettings, topicSettings, type KafkaRecord, type OutRecord } from '@planasonix/kafka';
import type { Reached } from './kafka-cluster.js';
import { forgottenIn, isGone, OwnTopic, unset } from './own-topic.js';

/** How far a partition of the source is in the log. */
export interface Mark {
  readonly position: Position | null;
  /** Of the last event that has one; empty: none has. */
  readonly order: string;
}

/** Somebody who writes, or wrote, beside the writer of the stream. */
export interface Beside {
  /** Session of whoever entered last under this index. */
  readonly entrant: string;
  /** What was written under it. */
  readonly totals: LogTotals;
}

/** What the log knows of a stream, committed with the events themselves. */
export interface JournalState {
  readonly epoch: number;
  /** Of the writer who committed last. */
  readonly session: string;
  /** Session of whoever entered last; it may have been turned away since. */
  readonly entrant: string;
  /** Sessions that were met among those who entered, as far as they were read one by one. */
  readonly met: ReadonlySet<string>;
  /** The highest epoch that somebody has entered to raise it to, whether or not it was; 0: none. */
  readonly claimed: number;
  /** Of all who write. */
  readonly totals: LogTotals;
  /** By index. */
  readonly besides: ReadonlyMap<number, Beside>;
  readonly marks: ReadonlyMap<string, Mark>;
  /** The stream was deleted: its log is gone, or will be. A writer who may enter puts an end to that. */
  readonly ending: 'now' | 'later' | null;
  /** The decision for which positions were forgotten last; `null`: none was. */
  readonly reset: number | null;
  /** Id of the topic that says what was taken in, where the stream takes deliveries; `null`: none is known. */
  readonly seen: string | null;
  /** Somebody else deleted it or made it anew: where the stream was is not known any more, and nobody has decided since. */
  readonly lost: boolean;
}

/** What a transaction changes. */
export interface JournalChange extends Omit<
  JournalState,
  'marks' | 'entrant' | 'met' | 'claimed' | 'besides' | 'ending' | 'reset' | 'seen' | 'lost'
> {
  /** Those whose totals are in `totals` from here on. */
  readonly over?: Iterable<number>;
  /** `null`: forgotten. */
  readonly marks: ReadonlyMap<string, Mark | null>;
  readonly ending?: 'now' | 'later';
  readonly reset?: number;
  readonly seen?: string;
  readonly lost?: boolean;
}

export const JOURNAL_PREFIX = 'planasonix.positions.';
const HEAD_KEY = 'stream';
const ENTRANT_KEY = 'entrant';
const CLAIM_KEY = 'claim';
const ENTRANT_BESIDE = 'entrant:';
const TOTALS_BESIDE = 'beside:';
const RESET_KEY = 'reset';
const SEEN_KEY = 'seen';
const MARK_KEY = 'at:';
const POLICY = 'compact';
/** Small pieces, so that what was replaced goes soon: a new writer reads all that is there. */
const PIECES = {
  'segment.bytes': String(8 * 1024 * 1024),
  'segment.ms': String(6 * 60 * 60 * 1000),
  'min.cleanable.dirty.ratio': '0.2',
  // A position names rows and keys where rows are being read.
  'max.message.bytes': String(8 * 1024 * 1024),
} as const;

const NOTHING: LogTotals = { events: 0, bytes: 0 };
const MOST_MET = 100;

export const journalTopic = (streamId: string): string => `${JOURNAL_PREFIX}${streamId}`;

/** The compacted topic in which a stream keeps where it is: one partition, one record per thing to be known. */
export class Journal {
  readonly topic: string;
  readonly #records: OwnTopic;
  /** What was read, so that the next look reads what is new. */
  #known: { readonly id: string; readonly fold: JournalFold; next: number } | null = null;

  constructor(
    streamId: string,
    private readonly reached: Reached,
    clock: Clock,
    /** -1: as the brokers are set. */
    private readonly replicationFactor: number,
  ) {
    this.topic = journalTopic(streamId);
    this.#records = new OwnTopic(this.topic, reached, clock);
  }

  /** @returns whether it was made; `false`: it was there. */
  make(): Promise<boolean> {
    const { topic, replicationFactor } = this;
    return this.reached.admin.create({
      topic,
      partitions: 1,
      replicationFactor,
      settings: { 'cleanup.policy': POLICY, ...PIECES },
    });
  }

  remove(): Promise<void> {
    return this.reached.admin.remove([this.topic]);
  }

  /** Nothing in it is forgotten. What somebody else has set is left as it is otherwise. */
  async keep(): Promise<void> {
    const { reached, topic } = this;
    const changes = { 'cleanup.policy': POLICY, 'retention.ms': null };
    await changeSettings(reached.cluster, topic, { ...(await unset(reached, topic, PIECES)), ...changes });
  }

  /**
   * Whether somebody else made it, in the place of ours. Whoever writes has entered in it before: where nobody has, it was
   * made while he wrote, or it is one that would forget.
   */
  async isForeign({ entrant, session, marks, besides }: JournalState): Promise<boolean> {
    if (entrant !== '') return false;
    if (session !== '' || marks.size + besides.size > 0) return true;
    const policy = (await topicSettings(this.reached.cluster, this.topic))?.get('cleanup.policy');
    return policy !== undefined && policy !== POLICY;
  }

  /** Lets the broker forget it `seconds` from now on. */
  expire(seconds: number): Promise<void> {
    return changeSettings(this.reached.cluster, this.topic, forgottenIn(seconds));
  }

  /**
   * What is committed; `null`: there is no such topic. A commit that was answered a moment ago is waited for: readers
   * see it once the broker has marked it.
   * @throws StreamError, KafkaError
   */
  async read(signal: AbortSignal): Promise<JournalState | null> {
    const ends = await this.#records.look(signal);
    if (ends === null) return null;
    const { id, start, written } = ends;
    let known = this.#known;
    // Made anew, cut back, or what was known is older than what it still holds.
    if (known?.id !== id || known.next < start || known.next > written)
      this.#known = known = { id, fold: new JournalFold(), next: start };
    try {
      for await (const { records, next } of this.#records.read(ends, known.next)) {
        for (const record of records) known.fold.take(record);
        known.next = next;
      }
    } catch (error) {
      if (isGone(error)) return null;
      throw error;
    }
    return known.fold.state;
  }
}

class JournalFold {
  #head: Omit<JournalState, 'marks' | 'entrant' | 'met' | 'claimed' | 'besides' | 'reset' | 'seen'> = {
    ...{ epoch: 0, session: '', totals: NOTHING },
    ...{ ending: null, lost: false },
  };
  #entrant = '';
  #claimed = 0;
  readonly #met = new Set<string>();
  #reset: number | null = null;
  #seen: string | null = null;
  readonly #marks = new Map<string, Mark>();
  readonly #besides = new Map<number, Beside>();

  take({ key, value }: KafkaRecord): void {
    const name = key?.toString() ?? '';
    if (name === HEAD_KEY && value !== null) {
      const { epoch, session, events, bytes, ending = null, lost = false } = JSON.parse(value.toString()) as Head;
      this.#head = { epoch, session, totals: { events, bytes }, ending, lost };
    } else if (name === ENTRANT_KEY && value !== null) {
      this.#entrant = value.toString();
      this.#met.add(this.#entrant);
      for (const oldest of this.#met) if (this.#met.size > MOST_MET) this.#met.delete(oldest);
    } else if (name === CLAIM_KEY && value !== null) {
      this.#claimed = Math.max(this.#claimed, Number(value.toString()));
    } else if (name.startsWith(ENTRANT_BESIDE)) {
      const index = Number(name.slice(ENTRANT_BESIDE.length));
      if (value === null) this.#besides.delete(index);
      else this.#besides.set(index, { totals: NOTHING, ...this.#besides.get(index), entrant: value.toString() });
    } else if (name.startsWith(TOTALS_BESIDE) && value !== null) {
      const index = Number(name.slice(TOTALS_BESIDE.length));
      const totals = JSON.parse(value.toString()) as LogTotals;
      this.#besides.set(index, { entrant: '', ...this.#besides.get(index), totals });
    } else if (name === RESET_KEY && value !== null) {
      this.#reset = Number(value.toString());
    } else if (name === SEEN_KEY && value !== null) {
      this.#seen = JSON.parse(value.toString()) as string;
    } else if (name.startsWith(MARK_KEY)) {
      const partition = name.slice(MARK_KEY.length);
      if (value === null) this.#marks.delete(partition);
      else this.#marks.set(partition, JSON.parse(value.toString()) as Mark);
    }
  }

  get state(): JournalState {
    let { events, bytes } = this.#head.totals;
    for (const { totals } of this.#besides.values()) {
      events += totals.events;
      bytes += totals.bytes;
    }
    const totals = { events, bytes };
    return {
      ...this.#head,
      totals,
      entrant: this.#entrant,
      met: new Set(this.#met),
      claimed: this.#claimed,
      besides: new Map(this.#besides),
      marks: new Map(this.#marks),
      reset: this.#reset,
      seen: this.#seen,
    };
  }
}

interface Head {
  readonly epoch: number;
  readonly session: string;
  readonly events: number;
  readonly bytes: number;
  readonly ending?: 'now' | 'later';
  readonly lost?: boolean;
}

/** Says who enters. Whoever reads the journal and finds it there has read all that was written before. */
export const entrantRecord = (session: string, index: number | null): OutRecord => ({
  key: Buffer.from(index === null ? ENTRANT_KEY : ENTRANT_BESIDE + index),
  value: Buffer.from(session),
  headers: [],
});

/** Says which epoch whoever enters will raise the journal's to: those who write in turn under a lower one enter no more. */
export const claimRecord = (epoch: number): OutRecord => record(CLAIM_KEY, epoch);

const record = (key: string, value: object | number | string | null): OutRecord => ({
  key: Buffer.from(key),
  value: value === null ? null : Buffer.from(JSON.stringify(value)),
  headers: [],
});

/** Of a journal that was made in place of one that is gone; nobody has written by it yet. */
export const lostRecord = (): OutRecord =>
  record(HEAD_KEY, { epoch: 0, session: '', ...NOTHING, lost: true } satisfies Head);

const markRecords = (marks: JournalChange['marks']): OutRecord[] =>
  [...marks].map(([partition, mark]) => record(MARK_KEY + partition, mark));

/** What one who writes beside the writer of the stream changes: the totals are its own. */
export const besideRecords = (index: number, totals: LogTotals, marks: JournalChange['marks']): OutRecord[] => [
  record(TOTALS_BESIDE + index, totals),
  ...markRecords(marks),
];

/** A change as records of the one partition of the journal. */
export function journalRecords({
  epoch,
  session,
  totals,
  marks,
  over = [],
  ending,
  reset,
  seen,
  lost,
}: JournalChange): OutRecord[] {
  const head: Head = { epoch, session, ...totals, ending, lost };
  return [
    record(HEAD_KEY, head),
    ...(reset === undefined ? [] : [record(RESET_KEY, reset)]),
    ...(seen === undefined ? [] : [record(SEEN_KEY, seen)]),
    ...[...over].flatMap((index) => [record(TOTALS_BESIDE + index, null), record(ENTRANT_BESIDE + index, null)]),
    ...markRecords(marks),
  ];
}
