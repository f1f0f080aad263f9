import { randomBytes } from 'node:crypto';
import { StreamError, type Clock, type LogTotals, type PipelineOutput, type Seat } from '@planasonix/core';
import {
  KafkaError,
  ProducerRoutes,
  topicSettings,
  TransactionalProducer,
  TransactionLost,
  type OutRecord,
  type PartitionRecords,
  type TopicFacts,
} from '@planasonix/kafka';
import {
  besideRecords,
  claimRecord,
  entrantRecord,
  Journal,
  JOURNAL_PREFIX,
  lostRecord,
  journalRecords,
  type JournalChange,
  type JournalState,
} from './journal.js';
import type { Reached } from './kafka-cluster.js';

export type KafkaOutput = Extract<PipelineOutput, { type: 'kafka' }>;

/** A new leader knows within seconds what is decided. */
const SETTLES_MS = 15_000;
/**
 * Whoever dies while it enters beside the writer is known to nobody, so nobody can end what it has open. Kafka does, at
 * most 10 s (its default) after this: within the time that a writer who enters waits.
 */
const ENTERING_MS = 4_000;
/**
 * Of those who write in turn: one who dies with a transaction open may be followed by nobody, and readers of the topics
 * wait until it is ended. Kafka does so at most 10 s (its default) after this.
 */
const SHARED_MS = 10_000;
/** They may bar each other; whoever was barred tries again, and senders wait for it. */
const SHARED_SETTLES_MS = 2_000;

/** The stream has been here, and what the log knew of it is no more. Invariant 2 */
const lostJournal = (topic: string): StreamError =>
  new StreamError(
    'offset_gap',
    `The topic ${topic}, where the log keeps how far the stream is, was deleted or made anew by somebody else.`,
    {
      hint: 'What is in the topics with events stays. Start with {"onLostPosition":"resnapshot"} to read everything again, or "skip" to go on without what is missing; or set the position first (PUT …/position).',
    },
  );

/** Somebody has entered after us. */
export const barred = (): TransactionLost => new TransactionLost(new KafkaError(47, 'entering'));

/** The log is not the one that was opened. */
export const otherLog = (): StreamError =>
  new StreamError('offset_gap', 'The log of this stream is gone or is an older one');

export const fenced = (): StreamError => new StreamError('fenced', 'The log has a newer owner of this stream');

export interface WriterOptions {
  readonly streamId: string;
  readonly epoch: number;
  /** Beside whose opening it writes; `null`: it is the writer of the stream. */
  readonly seat: Seat | null;
  readonly output: KafkaOutput;
  readonly reached: Reached;
  readonly clock: Clock;
  /** Set where the right to write goes round among equals of one epoch. */
  readonly shared?: SharedRight;
}

/** Of one of many who write in turn. None of them raises the epoch: it has to be the log's own. */
export interface SharedRight {
  /** What was read of it before is not read again. */
  readonly journal: Journal;
  /** What is written, in the same transaction, with the record that says who enters. */
  readonly entering: (session: string) => PartitionRecords;
}

/**
 * One owner's right to write to the log of a stream. Whoever enters bars those who entered before, by the producer's
 * epoch, which every broker checks; and who may enter is said by the store's epoch, which is in the journal. So a
 * writer of an older epoch that wakes up finds a newer one there and writes nothing (Invariant 3), and one that is
 * writing already is refused by the brokers. Who writes beside him does so as a producer of its own; it is in the journal
 * before it writes, so whoever enters knows whom to bar, and it enters for one opening alone.
 */
export class StreamWriter {
  #session = newSession();
  readonly #journal: Journal;
  readonly #producer: TransactionalProducer;
  readonly #routes: ProducerRoutes;
  readonly #over = new AbortController();
  /** Those who wrote beside the last writer, by index, until what they wrote is told in his stead. */
  readonly #barred = new Map<number, string>();
  /** How many were barred; under an index there may be one after the other. */
  #bars = 0;
  /** Of one who writes beside: from the stream's totals to its own. */
  #offset: LogTotals = { events: 0, bytes: 0 };

  constructor(private readonly options: WriterOptions) {
    const { streamId, output, reached, clock } = options;
    const { cluster } = reached;
    this.#journal =
      options.shared?.journal ?? new Journal(streamId, reached, clock, output.createTopics?.replicationFactor ?? -1);
    this.#routes = new ProducerRoutes({
      cluster,
      clock,
      create: (topic) => this.#create(topic),
      maxBytes: (topic) => maxBytesOf(reached, topic),
    });
    this.#producer = this.#producerOf(this.options.seat?.index ?? null);
  }

  #producerOf(index: number | null): TransactionalProducer {
    const { streamId, reached, clock, shared } = this.options;
    const { cluster } = reached;
    const transactionalId = index === null ? `planasonix.${streamId}` : `planasonix.${streamId}.${index}`;
    const timeoutMs = index === null ? shared && SHARED_MS : ENTERING_MS;
    return new TransactionalProducer({ cluster, clock, routes: this.#routes, transactionalId, timeoutMs });
  }

  get session(): string {
    return this.#session;
  }

  /** @throws StreamError `topic_missing`, … */
  topic(name: string): Promise<TopicFacts> {
    return this.#routes.topic(name);
  }

  /** What is written and not committed. */
  get open(): boolean {
    return this.#producer.open;
  }

  /**
   * Bars every other writer and tells what the log knows. It does so even to those of the same epoch; with a higher one
   * in the log it throws `fenced`, and nothing has changed.
   * @param lost a journal that was lost: `refuse` it (`offset_gap`), or `take` it as it is, from nothing on
   */
  async enter(lost: 'refuse' | 'take'): Promise<JournalState> {
    const { seat } = this.options;
    if (seat !== null) return this.#enterBeside(seat);
    const { topic } = this.#journal;
    const known = await this.#journal.read(this.#over.signal);
    this.#judge(known);
    const foreign = known !== null && (known.lost || (await this.#journal.isForeign(known)));
    if (foreign && lost === 'refuse') throw lostJournal(topic);
    // Made before it begins: whoever has begun and finds none knows that there was one.
    const made = known === null && (await this.#journal.make());
    const neverBegun = await this.#producer.begin();
    const gone = made && !neverBegun;
    if (gone && lost === 'refuse') {
      await this.#journal.remove();
      throw lostJournal(topic);
    }
    await this.#bar(known);
    for (;;) {
      const bars = this.#bars;
      await this.#say(null, gone ? [lostRecord()] : []);
      const state = await this.#truth();
      // Whoever was found meanwhile may have written: what is said after he was barred is behind that.
      if (this.#bars > bars) continue;
      if (state.ending !== null || foreign) await this.#journal.keep();
      return { ...state, lost: state.lost || foreign };
    }
  }

  /** Only while the opening that it names is the last one. It bars an earlier one of its index. */
  async #enterBeside({ index }: Seat): Promise<JournalState> {
    this.#judge(await this.#journal.read(this.#over.signal));
    await this.#producer.begin();
    await this.#say(index);
    // From here on whoever enters bars it. One that is barred by now is refused.
    await this.#producer.allow();
    const state = await this.#truth();
    const own = state.besides.get(index)!.totals;
    this.#offset = { events: own.events - state.totals.events, bytes: own.bytes - state.totals.bytes };
    return state;
  }

  async #say(index: number | null, more: readonly OutRecord[] = []): Promise<void> {
    this.#session = newSession();
    const { epoch, shared } = this.options;
    const claim = index === null && !shared ? [claimRecord(epoch)] : [];
    const records = [entrantRecord(this.#session, index), ...claim, ...more];
    const also = shared?.entering(this.#session);
    await this.#producer.write([{ topic: this.#journal.topic, partition: 0, records }, ...(also ? [also] : [])]);
    await this.#producer.commit();
  }

  /** Bars who writes beside the writer that we replace, and ends what he has open: nothing behind that could be read. */
  async #bar(state: JournalState | null): Promise<void> {
    const fresh = [...(state?.besides ?? [])].filter(([index, { entrant }]) => this.#barred.get(index) !== entrant);
    this.#bars += fresh.length;
    await Promise.all(
      fresh.map(async ([index, { entrant }]) => {
        const producer = this.#producerOf(index);
        try {
          await producer.begin();
        } finally {
          producer.close();
        }
        this.#barred.set(index, entrant);
      }),
    );
  }

  /**
   * Whatever another one had begun is decided, and nobody else can commit. A broker that lags behind, or leads no more
   * and does not know it, is told by our own record, which it has not.
   */
  async #truth(): Promise<JournalState> {
    const { clock, seat, shared } = this.options;
    const until = clock.monotonic() + (shared ? SHARED_SETTLES_MS : SETTLES_MS);
    do {
      const state = await this.#journal.read(this.#over.signal);
      this.#judge(state);
      if (seat === null) await this.#bar(state);
      const entrant = seat === null ? state?.entrant : state?.besides.get(seat.index)?.entrant;
      if (state && entrant === this.#session) return state;
      if (seat === null && state?.met.has(this.#session)) throw barred();
    } while (clock.monotonic() < until && (await clock.sleep(shared ? 10 : 100, this.#over.signal)));
    throw new StreamError('log_unavailable', 'The positions of the stream can not be read back from Kafka.');
  }

  async #create(topic: string): Promise<boolean> {
    const { createTopics } = this.options.output;
    // It was made before anybody entered. One that is gone since is not made anew: what it held would be forgotten in silence.
    if (topic.startsWith(JOURNAL_PREFIX)) return true;
    if (createTopics === undefined) return false;
    await this.options.reached.admin.create({ topic, ...createTopics });
    return true;
  }

  /** Nobody has a newer epoch, as far as the journal says now. @throws StreamError `fenced`, `offset_gap` */
  async confirm(): Promise<void> {
    this.#judge(await this.#journal.read(this.#over.signal));
  }

  write(parts: readonly PartitionRecords[], change?: Omit<JournalChange, 'epoch' | 'session'>): Promise<void> {
    const { epoch, seat } = this.options;
    if (change === undefined) return this.#producer.write(parts);
    const records =
      seat === null
        ? journalRecords({ ...change, epoch, session: this.#session, over: this.#barred.keys() })
        : besideRecords(seat.index, sum(change.totals, this.#offset), change.marks);
    return this.#producer.write([...parts, { topic: this.#journal.topic, partition: 0, records }]);
  }

  async commit(): Promise<void> {
    await this.#producer.commit();
    this.#barred.clear();
  }

  abort(): Promise<void> {
    return this.#producer.abort();
  }

  /** What a lost transaction means: another one has entered, or it was open for too long. */
  async explain(error: unknown): Promise<unknown> {
    if (!(error instanceof TransactionLost)) return error;
    try {
      const state = await this.#journal.read(this.#over.signal);
      if (state === null || state.epoch > this.options.epoch || this.options.seat || state.session !== this.#session)
        return fenced();
    } catch {
      // Then the next attempt finds out.
    }
    return new StreamError('log_unavailable', `The transaction in Kafka was ended from outside: ${error.message}`, {
      hint: 'A transaction of the source that takes more than 15 minutes to write is given up by Kafka.',
      cause: error,
    });
  }

  close(): void {
    this.#over.abort();
    this.#producer.close();
  }

  #judge(state: JournalState | null): void {
    const { epoch, seat, shared } = this.options;
    // Invariant 2: it was opened under this epoch, so a lower one, or none, is not what was opened.
    if (shared && (state?.epoch ?? 0) < epoch) throw otherLog();
    if (shared && state !== null && state.claimed > epoch) throw fenced();
    const isBarred =
      seat === null ? state !== null && state.epoch > epoch : state?.epoch !== epoch || state.entrant !== seat.session;
    if (isBarred) throw fenced();
  }
}

const newSession = (): string => randomBytes(9).toString('base64url');

const sum = (a: LogTotals, b: LogTotals): LogTotals => ({ events: a.events + b.events, bytes: a.bytes + b.bytes });

async function maxBytesOf({ cluster }: Reached, topic: string): Promise<number | null> {
  const found = (await topicSettings(cluster, topic))?.get('max.message.bytes');
  return found === undefined ? null : Number(found);
}
