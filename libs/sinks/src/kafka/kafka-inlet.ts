import {
  StreamError,
  type Inlet,
  type InletReport,
  type InletTotals,
  type Intake,
  type LogTotals,
  type TakenIn,
} from '@planasonix/core';
import type { Redis } from 'ioredis';
import { cut, inletConnection, logUnavailable } from '../redis-stream/connection.js';
import { InletReports } from '../redis-stream/inlet-reports.js';
import { indexKey } from '../redis-stream/keys.js';
import { logFailure, reach, type KafkaDeps, type Reached } from './kafka-cluster.js';
import { KafkaLane } from './kafka-lane.js';
import { Pen } from './pen.js';
import { defineIndexCommands, SeenIndex } from './seen-index.js';
import { SeenTopic } from './seen-topic.js';
import { topicOfAll } from './topic-name.js';
import { defineTurnCommands, Turn } from './turn.js';
import { StreamWriter, type KafkaOutput } from './writer.js';

export interface InletOptions {
  readonly output: KafkaOutput;
  readonly deps: KafkaDeps;
  /** What the log says of a stream; `null`: nothing. */
  readonly known: (streamId: string) => Promise<{ readonly epoch: number; readonly totals: LogTotals } | null>;
}

/** A lane without deliveries gives its connections back after this. Invariant 6. */
const IDLE_MS = 30_000;
const SWEEP_MS = 10_000;

/**
 * Deliveries into Kafka, for many writers at once: each has a lane for each stream, and the right to write goes round
 * among the lanes of a stream (`Pen`, `Turn`). Redis holds an index that can be made anew from Kafka; without it nothing
 * is taken in, and nothing is lost with it.
 */
export class KafkaInlet implements Inlet {
  readonly #redis: Redis;
  readonly #reports: InletReports;
  readonly #lanes = new Map<string, KafkaLane>();
  readonly #closing = new AbortController();

  constructor(private readonly options: InletOptions) {
    this.#redis = inletConnection(options.deps.redis);
    defineIndexCommands(this.#redis);
    defineTurnCommands(this.#redis);
    this.#reports = new InletReports(this.#redis, options.deps.clock, indexKey, (use) => this.#run(use));
    void this.#sweep();
  }

  async open(streamId: string, epoch: number, mark: string | null): Promise<string> {
    const { output, deps } = this.options;
    try {
      const reached = await reach(output.connectionId, deps);
      try {
        return await this.#open(streamId, { epoch, mark, reached });
      } finally {
        reached.cluster.close();
      }
    } catch (error) {
      throw logFailure(error);
    }
  }

  append(streamId: string, epoch: number, intake: Intake, until: number): Promise<TakenIn> {
    let lane = this.#lanes.get(streamId);
    if (lane === undefined) this.#lanes.set(streamId, (lane = this.#lane(streamId)));
    return lane.push(epoch, intake, until);
  }

  async report(report: InletReport): Promise<InletTotals | null> {
    const found = await this.#reports.report(report, this.#closing.signal);
    // No log has epoch 0.
    if (found !== null || report.epoch === 0) return found;
    // Its answers are kept: with an error it would be told again, and they would be there twice.
    return this.#reportAnew({ ...report, answers: [], failures: [] }).catch(() => null);
  }

  close(): Promise<void> {
    this.#closing.abort();
    for (const lane of this.#lanes.values()) lane.close();
    this.#lanes.clear();
    // The turns that are passed on go out before.
    return this.#redis.quit().then(
      () => undefined,
      () => cut(this.#redis),
    );
  }

  /** The index may be gone, and what it says of the log with it. */
  async #reportAnew(report: InletReport): Promise<InletTotals | null> {
    const known = await this.options.known(report.streamId);
    if (known?.epoch !== report.epoch) return null;
    await this.#index(report.streamId).publish(known.epoch, known.totals, 0);
    return this.#reports.report(report, this.#closing.signal);
  }

  async #open(
    streamId: string,
    { epoch, mark, reached }: { readonly epoch: number; readonly mark: string | null; readonly reached: Reached },
  ): Promise<string> {
    const { output, deps } = this.options;
    const { clock } = deps;
    const { signal } = this.#closing;
    const seen = new SeenTopic(streamId, reached, clock, output.createTopics?.replicationFactor ?? -1);
    const writer = new StreamWriter({ streamId, epoch, seat: null, output, reached, clock });
    try {
      const { totals, ending } = await writer.enter(mark === null ? 'take' : 'refuse');
      const found = await seen.look(signal, mark !== null);
      if (mark !== null && found?.id !== mark) throw lost(seen.topic); // Invariant 2
      const { id } = found ?? (await seen.made(signal));
      // One that is taken as it is may have been somebody else's, or be about to go.
      if (ending !== null || (found !== null && mark === null)) await seen.keep();
      // One that is missing is told of at once where its name does not depend on the deliveries.
      const topic = topicOfAll(output.topic, streamId);
      if (topic !== null) await writer.topic(topic);
      await writer.write([], { totals, marks: new Map(), seen: id }); // Invariant 3: from here on a lower epoch is barred
      await writer.commit();
      await this.#index(streamId).publish(epoch, totals, 0);
      return id;
    } catch (error) {
      throw await writer.explain(error);
    } finally {
      writer.close();
    }
  }

  #lane(streamId: string): KafkaLane {
    const { output, deps } = this.options;
    const { clock } = deps;
    const index = this.#index(streamId);
    const turn = new Turn(streamId, (use) => this.#run(use), clock);
    return new KafkaLane({ turn, clock, pen: (epoch) => new Pen({ streamId, epoch, output, deps, index }) });
  }

  #index(streamId: string): SeenIndex {
    return new SeenIndex(streamId, (use) => this.#run(use), this.options.deps.clock);
  }

  async #sweep(): Promise<void> {
    const { clock } = this.options.deps;
    while (await clock.sleep(SWEEP_MS, this.#closing.signal)) {
      const before = clock.monotonic() - IDLE_MS;
      for (const [streamId, lane] of this.#lanes) {
        if (lane.busy || lane.usedAt > before) continue;
        this.#lanes.delete(streamId);
        lane.close();
      }
    }
  }

  async #run<T>(use: (redis: Redis) => Promise<T>): Promise<T> {
    try {
      return await use(this.#redis);
    } catch (error) {
      throw logUnavailable(error);
    }
  }
}

const lost = (topic: string): StreamError =>
  new StreamError(
    'offset_gap',
    `The topic ${topic}, where the log keeps what it has taken in, was deleted or made anew.`,
    {
      hint: 'What is in the topics with events stays. Start with {"onLostPosition":"skip"} to go on; what is delivered again is then not known as a repeat.',
    },
  );
