import { StreamError, type Intake, type LogTotals, type TakenIn } from '@planasonix/core';
import { TransactionLost } from '@planasonix/kafka';
import { CloudEventEncoder } from './cloud-event.js';
import { planOf } from './intake-plan.js';
import { Journal } from './journal.js';
import { isRefusal, logFailure, reach, type KafkaDeps, type Reached } from './kafka-cluster.js';
import { Placement } from './placement.js';
import { SeenTopic, type Known } from './seen-topic.js';
import type { SeenIndex } from './seen-index.js';
import { barred, otherLog, StreamWriter, type KafkaOutput } from './writer.js';

export interface PenOptions {
  readonly streamId: string;
  readonly epoch: number;
  readonly output: KafkaOutput;
  readonly deps: KafkaDeps;
  readonly index: SeenIndex;
}

/** A way to the cluster, and what was read over it. */
interface Way {
  readonly reached: Reached;
  readonly journal: Journal;
  readonly seen: SeenTopic;
}

/** The right to write, until somebody else enters. */
interface Right {
  readonly writer: StreamWriter;
  readonly placement: Placement;
  readonly topicId: string;
  totals: LogTotals;
  /** What was committed since it entered; the index has what was before. */
  readonly own: Map<string, Known>;
}

/** So many names are held beside the index; then it enters anew, which brings the index on. Invariant 6. */
const MOST_OWN = 10_000;

/**
 * Writes deliveries of one stream under one epoch, in turn with the other instances. Whoever enters bars all others at
 * the brokers, and knows everything that they have committed: so until it is barred itself, nobody else writes, and what
 * neither the index nor its own memory knows is new. What makes a repeat known is in the transaction of the events.
 */
export class Pen {
  readonly #over = new AbortController();
  #way: Way | null = null;
  #right: Right | null = null;
  /** Of the right, or of the one that is being had. */
  #writer: StreamWriter | null = null;

  constructor(private readonly options: PenOptions) {}

  get epoch(): number {
    return this.options.epoch;
  }

  /**
   * Resolves once it is committed, or known as a repeat of what is. After a failure nothing of it is known; the same
   * group may be written again.
   * @throws StreamError `fenced`, `offset_gap`, `log_unavailable`, `message_too_large`, …
   */
  async write(group: readonly Intake[]): Promise<readonly TakenIn[]> {
    try {
      return await this.#write(group);
    } catch (error) {
      throw await this.#failed(error);
    }
  }

  close(): void {
    this.#over.abort();
    this.#leave();
    this.#lose();
  }

  async #write(group: readonly Intake[]): Promise<readonly TakenIn[]> {
    const { index, deps, epoch } = this.options;
    const names = [...new Set(group.flatMap(({ sameDelivery, sameId }) => [sameDelivery, sameId]))];
    let right = this.#right;
    let looked = right && (await index.look(right.topicId, names));
    // Another one has entered, the index has lost its end, or enough is held beside it.
    if (right === null || looked?.entrant !== right.writer.session || right.own.size > MOST_OWN) {
      right = await this.#enter();
      looked = await index.look(right.topicId, names);
      if (looked.entrant !== right.writer.session) throw barred();
    }
    const { own, writer, placement } = right;
    const now = deps.clock.now();
    const { known } = looked;
    const find = (name: string): Known['as'] | undefined => {
      const mine = own.get(name);
      return mine !== undefined && mine.untilMs > now ? mine.as : known.get(name);
    };
    const plan = planOf(group, now, find);
    if (plan.known.length === 0) {
      // Invariant 3: nothing is committed here that a newer epoch would keep it from.
      await writer.confirm();
      return plan.taken;
    }
    const parts = await placement.of([{ partition: '', events: plan.events }]);
    const totals = { events: right.totals.events + plan.events.length, bytes: right.totals.bytes + plan.bytes };
    const { seen } = this.#way!;
    await seen.keepFor(Math.max(...group.map(({ windowMs }) => windowMs)));
    await writer.write([...parts, seen.remembering(plan.known)], { totals, marks: new Map() });
    await writer.commit(); // Invariant 1: the events and what makes a repeat known, or neither
    right.totals = totals;
    for (const one of plan.known) own.set(one.name, one);
    const last = plan.events.reduce((latest, { timeMs }) => Math.max(latest, timeMs), 0);
    // Those who report see it a moment later at the most. The journal has the totals; the last one's time is here alone.
    index.publish(epoch, totals, last).catch(() => undefined);
    return plan.taken;
  }

  /** Bars whoever wrote before, and brings the index to where it entered. */
  async #enter(): Promise<Right> {
    this.#leave();
    const { streamId, epoch, output, deps, index } = this.options;
    const { clock } = deps;
    const { reached, journal, seen } = this.#way ?? (await this.#reach());
    if ((await seen.look(this.#over.signal)) === null) throw otherLog();
    const shared = { journal, entering: (session: string) => seen.entering(session) };
    const writer = new StreamWriter({ streamId, epoch, seat: null, output, reached, clock, shared });
    this.#writer = writer;
    const { totals, seen: topicId } = await writer.enter('refuse');
    await index.bringTo(writer.session, seen, topicId ?? '', this.#over.signal);
    // Whoever wrote last may not have been able to say so: what he wrote comes as repeats now, which nobody counts.
    index.publish(epoch, totals, 0).catch(() => undefined);
    const encoder = new CloudEventEncoder(streamId, false);
    const placement = new Placement(streamId, output.topic, encoder, (topic) => writer.topic(topic));
    return (this.#right = { writer, placement, topicId: topicId ?? '', totals, own: new Map() });
  }

  async #reach(): Promise<Way> {
    const { streamId, output, deps } = this.options;
    const reached = await reach(output.connectionId, deps);
    const of = [streamId, reached, deps.clock, output.createTopics?.replicationFactor ?? -1] as const;
    this.#way = { reached, journal: new Journal(...of), seen: new SeenTopic(...of) };
    if (!this.#over.signal.aborted) return this.#way;
    this.#lose();
    throw new StreamError('log_unavailable', 'The log was closed');
  }

  #leave(): void {
    this.#writer?.close();
    this.#writer = null;
    this.#right = null;
  }

  #lose(): void {
    this.#way?.reached.cluster.close();
    this.#way = null;
  }

  /** Whatever was met, it enters anew before it writes again; over other connections where these may be the cause. */
  async #failed(error: unknown): Promise<StreamError> {
    const failure =
      error instanceof TransactionLost
        ? new StreamError('log_unavailable', 'Another instance has begun to write to the log of the stream.')
        : logFailure(error);
    // Readers of the topics wait behind a transaction that is open.
    if (this.#writer?.open && failure.recourse === 'fatal') await this.#writer.abort().catch(() => undefined);
    this.#leave();
    if (!(error instanceof TransactionLost) && !isRefusal(failure)) this.#lose();
    return failure;
  }
}
