import { StreamError, type Clock, type LogTotals, type Position } from '@planasonix/core';
import {
  EARLIEST,
  FetchReader,
  KafkaError,
  LATEST,
  ReadObstacle,
  topicSettings,
  type OffsetEnd,
  type KafkaRecord,
  type OutRecord,
} from '@planasonix/kafka';
import type { Reached } from './kafka-cluster.js';

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
  /** Of all who write. */
  readonly totals: LogTotals;
  /** By index. */
  readonly besides: ReadonlyMap<number, Beside>;
  readonly marks: ReadonlyMap<string, Mark>;
  /** The stream was deleted: its log is gone, or will be. A writer who may enter puts an end to that. */
  readonly ending: 'now' | 'later' | null;
  /** The decision for which positions were forgotten last; `null`: none was. */
  readonly reset: number | null;
  /** Somebody else deleted it or made it anew: where the stream was is not known any more, and nobody has decided since. */
  readonly lost: boolean;
}

/** What a transaction changes. */
export interface JournalChange extends Omit<
  JournalState,
  'marks' | 'entrant' | 'besides' | 'ending' | 'reset' | 'lost'
> {
  /** Those whose totals are in `totals` from here on. */
  readonly over?: Iterable<number>;
  /** `null`: forgotten. */
  readonly marks: ReadonlyMap<string, Mark | null>;
  readonly ending?: 'now' | 'later';
  readonly reset?: number;
  readonly lost?: boolean;
}

export const JOURNAL_PREFIX = 'planasonix.positions.';
const HEAD_KEY = 'stream';
const ENTRANT_KEY = 'entrant';
const ENTRANT_BESIDE = 'entrant:';
const TOTALS_BESIDE = 'beside:';
const RESET_KEY = 'reset';
const MARK_KEY = 'at:';
/** Small pieces, so that what was replaced goes soon: a new writer reads all that is there. */
const SETTINGS = {
  'cleanup.policy': 'compact',
  'segment.bytes': String(8 * 1024 * 1024),
  'segment.ms': String(6 * 60 * 60 * 1000),
  'min.cleanable.dirty.ratio': '0.2',
  // A position names rows and keys where rows are being read.
  'max.message.bytes': String(8 * 1024 * 1024),
} as const;

const NOTHING: LogTotals = { events: 0, bytes: 0 };
const SILENT_MS = 15_000;
/** So long a commit that was answered is waited for; what is not decided then is the transaction of one who hangs. */
const UNDECIDED_MS = 1_000;
const NO_SUCH_TOPIC = 3;

export const journalTopic = (streamId: string): string => `${JOURNAL_PREFIX}${streamId}`;

/** The compacted topic in which a stream keeps where it is: one partition, one record per thing to be known. */
export class Journal {
  readonly topic: string;

  constructor(
    streamId: string,
    private readonly reached: Reached,
    private readonly clock: Clock,
    /** -1: as the brokers are set. */
    private readonly replicationFactor: number,
  ) {
    this.topic = journalTopic(streamId);
  }

  /** @returns whether it was made; `false`: it was there. */
  make(): Promise<boolean> {
    const { topic, replicationFactor } = this;
    return this.reached.admin.create({ topic, partitions: 1, replicationFactor, settings: SETTINGS });
  }

  remove(): Promise<void> {
    return this.reached.admin.remove([this.topic]);
  }

  /** As it was made: nothing in it is forgotten. */
  keep(): Promise<void> {
    return this.reached.admin.set(this.topic, SETTINGS);
  }

  /**
   * Whether somebody else made it, in the place of ours. Whoever writes has entered in it before: where nobody has, it was
   * made while he wrote, or it is one that would forget.
   */
  async isForeign({ entrant, session, marks, besides }: JournalState): Promise<boolean> {
    if (entrant !== '') return false;
    if (session !== '' || marks.size + besides.size > 0) return true;
    const policy = (await topicSettings(this.reached.cluster, this.topic))?.get('cleanup.policy');
    return policy !== undefined && policy !== SETTINGS['cleanup.policy'];
  }

  /** Lets the broker forget it `seconds` from now on. */
  expire(seconds: number): Promise<void> {
    const settings = { 'cleanup.policy': 'delete', 'retention.ms': String(seconds * 1000) };
    return this.reached.admin.set(this.topic, { ...SETTINGS, ...settings });
  }

  /**
   * What is committed; `null`: there is no such topic. A commit that was answered a moment ago is waited for: readers
   * see it once the broker has marked it.
   * @throws StreamError, KafkaError
   */
  async read(signal: AbortSignal): Promise<JournalState | null> {
    const { cluster } = this.reached;
    const [view] = (await cluster.view([this.topic])).topics;
    if (view === undefined || view.error === NO_SUCH_TOPIC) return null;
    const place = { topic: this.topic, partition: 0 };
    const offset = async (timestamp: number, end: OffsetEnd) =>
      (await cluster.offsets([{ ...place, timestamp }], signal, end))[0]!;
    const [start, decided, written] = await Promise.all([
      offset(EARLIEST, 'decided'),
      offset(LATEST, 'decided'),
      offset(LATEST, 'written'),
    ]);
    const error = start.error || decided.error || written.error;
    if (error === NO_SUCH_TOPIC) return null;
    if (error !== 0) throw new KafkaError(error, `reading ${this.topic}`);
    const reader = new FetchReader({ cluster, clock: this.clock, limits: { maxWaitMs: 100 } });
    reader.add([{ ...place, topicId: view.id, offset: start.offset, leaderEpoch: -1 }]);
    const fold = new JournalFold();
    try {
      for (let at = start.offset; at < written.offset;) {
        const chunk = await reader.next(at < decided.offset ? SILENT_MS : UNDECIDED_MS);
        if (chunk === null && at >= decided.offset) break;
        if (chunk === null) throw new StreamError('log_unavailable', 'The positions of the stream do not come.');
        for (const record of chunk.records) fold.take(record);
        at = chunk.next;
      }
    } catch (error) {
      if (error instanceof ReadObstacle && error.obstacle.kind === 'topic_gone') return null;
      throw error;
    } finally {
      reader.close();
    }
    return fold.state;
  }
}

class JournalFold {
  #head: Omit<JournalState, 'marks' | 'entrant' | 'besides' | 'reset'> = {
    ...{ epoch: 0, session: '', totals: NOTHING },
    ...{ ending: null, lost: false },
  };
  #entrant = '';
  #reset: number | null = null;
  readonly #marks = new Map<string, Mark>();
  readonly #besides = new Map<number, Beside>();

  take({ key, value }: KafkaRecord): void {
    const name = key?.toString() ?? '';
    if (name === HEAD_KEY && value !== null) {
      const { epoch, session, events, bytes, ending = null, lost = false } = JSON.parse(value.toString()) as Head;
      this.#head = { epoch, session, totals: { events, bytes }, ending, lost };
    } else if (name === ENTRANT_KEY && value !== null) {
      this.#entrant = value.toString();
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
      besides: this.#besides,
      marks: this.#marks,
      reset: this.#reset,
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

const record = (key: string, value: object | number | null): OutRecord => ({
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
  lost,
}: JournalChange): OutRecord[] {
  const head: Head = { epoch, session, ...totals, ending, lost };
  return [
    record(HEAD_KEY, head),
    ...(reset === undefined ? [] : [record(RESET_KEY, reset)]),
    ...[...over].flatMap((index) => [record(TOTALS_BESIDE + index, null), record(ENTRANT_BESIDE + index, null)]),
    ...markRecords(marks),
  ];
}
