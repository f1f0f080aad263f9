import {
  type Check,
  type EventLog,
  findingOf,
  type Inlet,
  type LogEntry,
  type LogTopics,
  type LogTotals,
  type Positions,
  type Seat,
  type Sink,
  StreamError,
} from '@planasonix/core';
import { TransactionLost } from '@planasonix/kafka';
import type { Redis } from 'ioredis';
import { controlWhileUsed, logUnavailable } from '../redis-stream/connection.js';
import { readDurability } from '../redis-stream/durability.js';
import { answersOf, reportKeys } from '../redis-stream/inlet-reports.js';
import { indexKey } from '../redis-stream/keys.js';
import type { WhileUsed } from '../while-used.js';
import { sweepJournals } from './journal-sweep.js';
import { Journal, type JournalChange, type JournalState, type Mark } from './journal.js';
import { logFailure, reach, type KafkaDeps, type Reached } from './kafka-cluster.js';
import { KafkaInlet } from './kafka-inlet.js';
import { KafkaSink } from './kafka-sink.js';
import { LogView } from './log-view.js';
import { evictionChecks, preflight } from './preflight.js';
import { SeenTopic } from './seen-topic.js';
import { topicNames, topicOfAll } from './topic-name.js';
import { StreamWriter, type KafkaOutput } from './writer.js';

/** So long nobody who was under way finds the journal without the epoch that bars him. */
const BARRED_SECONDS = 60;
/** How often somebody who is to be barred may come between. */
const MOST_TRIES = 20;
const NOTHING: LogTotals = { events: 0, bytes: 0 };
/** Failures after which the settings are asked for again. */
const LEAVES: ReadonlySet<string> = new Set(['log_unavailable', 'auth_failed', 'tls_failed', 'host_forbidden']);
const never = new AbortController().signal;

/** The log of one pipeline in Kafka: topics that are the user's, and for each stream one that is ours, its journal. */
export class KafkaLog implements EventLog {
  #reached: Promise<Reached> | null = null;
  readonly #redis: WhileUsed<Redis>;
  #closed = false;

  constructor(
    private readonly output: KafkaOutput,
    private readonly deps: KafkaDeps,
    private readonly barredSeconds = BARRED_SECONDS,
  ) {
    this.#redis = controlWhileUsed(deps.redis);
  }

  sink(streamId: string, epoch: number, seat: Seat | null = null): Sink {
    return new KafkaSink(streamId, epoch, this.output, this.deps, seat);
  }

  inlet(): Inlet {
    const { output, deps } = this;
    return new KafkaInlet({ output, deps, known: (streamId) => this.#state(streamId) });
  }

  answers(streamId: string): Promise<readonly string[]> {
    return this.#shared((redis) => answersOf(redis, streamId));
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

  async *tail(
    streamId: string,
    after: string | null,
    signal: AbortSignal,
    placed?: () => void,
  ): AsyncIterable<LogEntry> {
    const view = await this.#view(streamId);
    try {
      yield* view.tail(after, signal, placed);
    } catch (error) {
      if (!signal.aborted) throw logFailure(error);
    }
  }

  topics(streamId: string): Promise<LogTopics> {
    return this.#run(async ({ cluster }) => {
      const { clusterId } = await cluster.view([]);
      return { clusterId, ...topicNames(this.output.topic, streamId) };
    });
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
    const after = Math.max(this.barredSeconds, Math.ceil(seconds));
    try {
      const gone = known === null ? 'refuse' : 'take';
      await this.#enter(streamId, Math.max(epoch, known?.epoch ?? 0), gone, ({ totals, marks }) =>
        now
          ? { totals: NOTHING, marks: new Map([...marks.keys()].map((name) => [name, null])), ending: 'now' }
          : { totals, marks: new Map(), ending: 'later' },
      );
    } catch (error) {
      if (!(error instanceof StreamError) || error.code !== 'offset_gap' || known !== null) throw error;
      // The journal had gone before.
      return this.#run((reached) => this.#expireSeen(streamId, reached, after, false));
    }
    // What is left there goes by itself.
    await this.#shared((redis) => redis.unlink(indexKey(streamId), ...reportKeys(streamId))).catch(() => undefined);
    await this.#run(async (reached) => {
      // First: where the journal is gone nobody knows of it.
      await this.#expireSeen(streamId, reached, after, known !== null && known.seen !== null);
      await this.#journal(streamId, reached).expire(after);
      // What is left of others is not worth a failure of this one.
      await sweepJournals(reached, never).catch((error: unknown) =>
        this.deps.log.warn({ err: error }, 'journals of deleted streams could not be removed'),
      );
    });
  }

  async check(streamId?: string): Promise<readonly Check[]> {
    // One that can't be asked is told of elsewhere.
    const shared = this.#shared(readDurability).then(evictionChecks, () => []);
    try {
      return [...(await this.#run((reached) => preflight(this.output, reached, streamId))), ...(await shared)];
    } catch (error) {
      return [findingOf(logFailure(error))];
    }
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#redis.end();
    return this.#leave();
  }

  #journal(streamId: string, reached: Reached): Journal {
    return new Journal(streamId, reached, this.deps.clock, this.output.createTopics?.replicationFactor ?? -1);
  }

  /** Also one that the journal does not name: the log may never have been opened all the way. */
  async #expireSeen(streamId: string, reached: Reached, seconds: number, isNamed: boolean): Promise<void> {
    const seen = new SeenTopic(streamId, reached, this.deps.clock, this.output.createTopics?.replicationFactor ?? -1);
    if ((await seen.look(never, isNamed)) !== null) await seen.expire(seconds);
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
      for (let tries = 1; ; tries++) {
        const writer = new StreamWriter({ streamId, epoch, seat: null, output, reached, clock: deps.clock });
        try {
          const state = await writer.enter(lost);
          await writer.write([], change(state));
          return await writer.commit();
        } catch (error) {
          const why = await writer.explain(error);
          if (!(error instanceof TransactionLost) || tries === MOST_TRIES) throw why;
          // One of a lower epoch may have slipped in, and is turned away from now on: it is not barred yet.
          const now = await this.#journal(streamId, reached).read(never);
          if (now === null || now.epoch >= epoch) throw why;
        } finally {
          writer.close();
        }
      }
    });
  }

  /** What instances of a stream share. */
  async #shared<T>(use: (redis: Redis) => Promise<T>): Promise<T> {
    try {
      return await this.#redis.use(use);
    } catch (error) {
      throw logUnavailable(error);
    }
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
