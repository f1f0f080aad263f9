import { StreamError, type Clock } from '@planasonix/core';
import {
  EARLIEST,
  FetchReader,
  KafkaError,
  LATEST,
  ReadObstacle,
  topicSettings,
  type KafkaRecord,
  type OffsetEnd,
  type SettingChanges,
} from '@planasonix/kafka';
import type { Reached } from './kafka-cluster.js';

/** Of the one partition of a topic, offsets. */
export interface TopicEnds {
  /** Kafka's own name of it: a topic that was made anew has another one. */
  readonly id: string;
  readonly start: number;
  /** What is before it is committed or given up. */
  readonly decided: number;
  readonly written: number;
}

export interface CommittedChunk {
  readonly records: readonly KafkaRecord[];
  /** Where to go on after them. */
  readonly next: number;
}

const SILENT_MS = 15_000;
/** So long a commit that was answered is waited for; what is not decided then is the transaction of one who hangs. */
const UNDECIDED_MS = 1_000;
const NO_SUCH_TOPIC = 3;

/** A topic of ours with one partition, which is read as a whole. */
export class OwnTopic {
  constructor(
    readonly topic: string,
    private readonly reached: Reached,
    private readonly clock: Clock,
  ) {}

  /**
   * `null`: there is no such topic, as far as the broker knows that is asked.
   * @param surely asks again for some seconds where it is not there: one that has just started may not know it yet
   * @throws StreamError, KafkaError
   */
  async look(signal: AbortSignal, surely = false): Promise<TopicEnds | null> {
    const { cluster } = this.reached;
    const named = [this.topic];
    const [view] = (await (surely ? cluster.sureView(named, named, signal) : cluster.view(named))).topics;
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
    return { id: view.id, start: start.offset, decided: decided.offset, written: written.offset };
  }

  /**
   * What is committed, from an offset to the end. A commit that was answered a moment ago is waited for: readers see it
   * once the broker has marked it.
   * @throws StreamError, KafkaError, ReadObstacle (see `isGone`)
   */
  async *read({ id, decided, written }: TopicEnds, from: number): AsyncGenerator<CommittedChunk, void, undefined> {
    if (from >= written) return;
    const { cluster } = this.reached;
    const reader = new FetchReader({ cluster, clock: this.clock, limits: { maxWaitMs: 100 } });
    reader.add([{ topic: this.topic, partition: 0, topicId: id, offset: from, leaderEpoch: -1 }]);
    try {
      for (let at = from; at < written;) {
        const chunk = await reader.next(at < decided ? SILENT_MS : UNDECIDED_MS);
        if (chunk === null && at >= decided) return;
        if (chunk === null) throw new StreamError('log_unavailable', `The records of ${this.topic} do not come.`);
        at = chunk.next;
        yield chunk;
      }
    } finally {
      reader.close();
    }
  }
}

/** The topic was removed while it was read. */
export const isGone = (error: unknown): boolean =>
  error instanceof ReadObstacle && error.obstacle.kind === 'topic_gone';

/** Of a topic that is to go. */
export const forgottenIn = (seconds: number): SettingChanges => ({
  'cleanup.policy': 'delete',
  'retention.ms': String(seconds * 1000),
});

/** Those of `settings` that nobody has set for the topic; none where it may not be looked at. */
export async function unset(
  { cluster }: Reached,
  topic: string,
  settings: Readonly<Record<string, string>>,
): Promise<SettingChanges> {
  const own = await topicSettings(cluster, topic, 'own');
  return Object.fromEntries(Object.entries(settings).filter(([name]) => own?.has(name) === false));
}
