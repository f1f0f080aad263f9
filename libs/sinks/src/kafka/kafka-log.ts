import {
  type Check,
  type EventLog,
  findingOf,
  type LogEntry,
  type LogTotals,
  type Positions,
  type Seat,
  type Sink,
  StreamError,
} from '@planasonix/core';
import { sweepJournals } from './journal-sweep.js';
import { Journal, type JournalChange, type JournalState, type Mark } from './journal.js';
import { logFailure, reach, type KafkaDeps, type Reached } from './kafka-cluster.js';
import { KafkaSink } from './kafka-sink.js';
import { LogView } from './log-view.js';
import { preflight } from './preflight.js';
import { topicOfAll } from './topic-name.js';
import { StreamWriter, type KafkaOutput } from './writer.js';

/** So long nobody who was under way finds the journal without the epoch that bars him. */
const BARRED_SECONDS = 60;
const NOTHING: LogTotals = { events: 0, bytes: 0 };
/** Failures after which the settings are asked for again. */
const LEAVES: ReadonlySet<string> = new Set(['log_unavailable', 'auth_failed', 'tls_failed', 'host_forbidden']);
const never = new AbortController().signal;

/** The log of one pipeline in Kafka: topics that are the user's, and for each stream one that is ours, its journal. */
export class KafkaLog implements EventLog {
  #reached: Promise<Reached> | null = null;
  #closed = false;

  constructor(
    private readonly output: KafkaOutput,
    private readonly deps: KafkaDeps,
    private readonly barredSeconds = BARRED_SECONDS,
  ) {}

  sink(streamId: string, epoch: number, seat: Seat | null = null): Sink {
    return new KafkaSink(streamId, epoch, this.output, this.deps, seat);
  }

  async fence(streamId: string, epoch: number): Promise<void> {
    const known = await this.#state(streamId);
    if (known !== null && known.epoch >= epoch) return;
    try {
      await this.#enter(streamId, epoch, 'take', ({ totals, lost }) => ({ totals, marks: new Map(), lost }));
    } catch (error) {
      // Somebody with a higher epoch was quicker: what this one bars is barred.
      if (!(error instanceof StreamError) || error.code !== 'fenced') throw error;
    }
  }

  place(streamId: string, epoch: number, positions: Positions): Promise<void> {
    return this.#enter(streamId, epoch, 'take', ({ totals, marks }) => {
      const placed = new Map<string, Mark | null>([...marks.keys()].map((partition) => [partition, null]));
      for (const [partition, position] of positions) placed.set(partition, { position, order: '' });
      return { totals, marks: placed };
    });
  }

  async read(
    streamId: string,
    options: { readonly limit: number; readonly after?: string | null },
  ): Promise<readonly LogEntry[]> {
    const view = await this.#view(streamId);
    // The topics stay when a stream is deleted; they are no log of it any more.
    const state = await this.#state(streamId);
    if (state === null || state.ending === 'now') return [];
    return this.#run(() => view.read(options));
  }

  async *tail(streamId: string, after: string | null, signal: AbortSignal): AsyncIterable<LogEntry> {
    const view = await this.#view(streamId);
    try {
      yield* view.tail(after, signal);
    } catch (error) {
      if (!signal.aborted) throw logFailure(error);
    }
  }

  /** Events that were appended: how many of them Kafka still holds is for the retention of its topics to say. */
  async depth(streamId: string): Promise<number> {
    return (await this.totals(streamId)).events;
  }

  async totals(streamId: string): Promise<LogTotals> {
    return (await this.#state(streamId))?.totals ?? NOTHING;
  }

  /**
   * The journal loses its contents, and goes with the next one after that; topics with events are the user's and stay.
   * Where it is gone writers are barred still: the cluster remembers that there was one under this name.
   */
  async expire(streamId: string, seconds: number, epoch: number): Promise<void> {
    const known = await this.#state(streamId);
    const now = seconds <= 0;
    try {
      const gone = known === null ? 'refuse' : 'take';
      await this.#enter(streamId, Math.max(epoch, known?.epoch ?? 0), gone, ({ totals, marks }) =>
        now
          ? { totals: NOTHING, marks: new Map([...marks.keys()].map((name) => [name, null])), ending: 'now' }
          : { totals, marks: new Map(), ending: 'later' },
      );
    } catch (error) {
      if (error instanceof StreamError && error.code === 'offset_gap' && known === null) return; // it had gone before
      throw error;
    }
    await this.#run(async (reached) => {
      await this.#journal(streamId, reached).expire(Math.max(this.barredSeconds, Math.ceil(seconds)));
      // What is left of others is not worth a failure of this one.
      await sweepJournals(reached, never).catch((error: unknown) =>
        this.deps.log.warn({ err: error }, 'journals of deleted streams could not be removed'),
      );
    });
  }

  async check(): Promise<readonly Check[]> {
    try {
      return await this.#run((reached) => preflight(this.output, reached));
    } catch (error) {
      return [findingOf(logFailure(error))];
    }
  }

  close(): Promise<void> {
    this.#closed = true;
    return this.#leave();
  }

  #journal(streamId: string, reached: Reached): Journal {
    return new Journal(streamId, reached, this.deps.clock, this.output.createTopics?.replicationFactor ?? -1);
  }

  #state(streamId: string): Promise<JournalState | null> {
    return this.#run((reached) => this.#journal(streamId, reached).read(never));
  }

  /** @throws StreamError `log_unreadable` */
  async #view(streamId: string): Promise<LogView> {
    const topic = topicOfAll(this.output.topic, streamId);
    if (topic === null)
      throw new StreamError(
        'log_unreadable',
        `The events of this stream lie in several topics (${this.output.topic}).`,
      );
    return this.#run((reached) => Promise.resolve(new LogView(streamId, topic, reached, this.deps.clock)));
  }

  /** Bars whoever writes, changes the journal in one transaction, and leaves. */
  #enter(
    streamId: string,
    epoch: number,
    lost: 'refuse' | 'take',
    change: (state: JournalState) => Omit<JournalChange, 'epoch' | 'session'>,
  ): Promise<void> {
    return this.#run(async (reached) => {
      const { output, deps } = this;
      const writer = new StreamWriter({ streamId, epoch, seat: null, output, reached, clock: deps.clock });
      try {
        const state = await writer.enter(lost);
        await writer.write([], change(state));
        await writer.commit();
      } catch (error) {
        throw await writer.explain(error);
      } finally {
        writer.close();
      }
    });
  }

  async #run<T>(use: (reached: Reached) => Promise<T>): Promise<T> {
    try {
      if (this.#closed) throw new StreamError('log_unavailable', 'The log was closed');
      return await use(await this.#reach());
    } catch (error) {
      const failure = logFailure(error);
      if (LEAVES.has(failure.code)) await this.#leave();
      throw failure;
    }
  }

  /** The connection may be another by now: the next one to ask begins anew. */
  async #leave(): Promise<void> {
    const reaching = this.#reached;
    this.#reached = null;
    (await reaching?.catch(() => null))?.cluster.close();
  }

  /** A connection that could not be made is tried anew the next time. */
  #reach(): Promise<Reached> {
    if (this.#reached === null) {
      const reaching = (this.#reached = reach(this.output.connectionId, this.deps));
      reaching.catch(() => {
        if (this.#reached === reaching) this.#reached = null;
      });
    }
    return this.#reached;
  }
}
