import { Limit, type Clock } from '@planasonix/core';
import { KafkaError, lagging, MOVED, OLD_METADATA, toStreamError, UNKNOWN_LEADER_EPOCH } from './connection-error.js';
import type { KafkaCluster } from './client-cluster.js';
import { newestEpoch } from './client-requests.js';
import { batchesOf, DamagedBatch, endOf } from './consumer-batch.js';
import { committedOnly } from './consumer-committed.js';
import { fetchCall, type Fetched, type FetchLimits } from './consumer-fetch.js';
import { partitionName, ReadObstacle, type PartitionReader, type Place, type RecordChunk } from './consumer.js';

export interface ReaderOptions {
  readonly cluster: KafkaCluster;
  readonly clock: Clock;
  readonly limits?: Partial<FetchLimits>;
  /** Records of a chunk at the most. */
  readonly chunkRecords?: number;
  /** So long a partition may be without an answer before the reader gives up; leaders move within seconds. */
  readonly patienceMs?: number;
}

const LIMITS: FetchLimits = { maxWaitMs: 500, maxBytes: 8_000_000, partitionBytes: 1_000_000 };
const CHUNK_RECORDS = 500;
const PATIENCE_MS = 15_000;
const REROUTE_MS = 100;
/** A topic that is made at this moment is not known to every broker. */
const GONE_MS = 3_000;
const CODES = { outOfRange: 1, noSuchTopic: 3, denied: 29, noSuchId: 100, otherId: 103 } as const;
const GONE: ReadonlySet<number> = new Set([CODES.noSuchTopic, CODES.noSuchId, CODES.otherId]);

/** Answers of a partition that wait to be asked for: the one that is handed out, and the one after it. */
const MOST_HELD = 2;
/** Of all partitions together, in answers as large as they may be: with many of them two each would be too much. Invariant 6. */
const MOST_ANSWERS = 4;
/** How long a broker may wait where another of its partitions has enough waiting here, and may soon want more. */
const SHORT_WAIT_MS = 10;

interface Reading {
  /** Of the next fetch. */
  place: Place;
  leader: number;
  /** The newest one of its leaders that was told of; -1: none. */
  leaderEpoch: number;
  /** The cluster's, in which that leader was told. */
  toldIn: number;
  held: number;
  /** Monotonic time since which no answer came; `null`: they come. */
  failingSince: number | null;
  /** Monotonic time since which brokers say that its topic is not there; one that has just started says so for a while. */
  goneSince: number | null;
}

/** An answer that waits. */
interface Ready {
  readonly reading: Reading;
  /** Where what was not handed out begins. */
  place: Place;
  readonly bytes: number;
  readonly chunks: Iterator<RecordChunk>;
}

/** Reads with fetches of its own over kafkajs' connections: one fetch per broker at a time, one answer ahead. */
export class FetchReader implements PartitionReader {
  readonly ends = new Map<string, number>();
  readonly #readings = new Map<string, Reading>();
  readonly #fetching = new Set<number>();
  readonly #turns = new Map<number, number>();
  readonly #ready: Ready[] = [];
  readonly #over = new AbortController();
  readonly #limits: FetchLimits;
  readonly #patienceMs: number;
  #wake: (() => void) | null = null;
  #failure: { readonly error: unknown } | null = null;
  #routing = false;
  #turn = 0;
  #heldBytes = 0;

  constructor(private readonly options: ReaderOptions) {
    this.#limits = { ...LIMITS, ...options.limits };
    this.#patienceMs = options.patienceMs ?? PATIENCE_MS;
  }

  add(places: readonly Place[]): void {
    for (const place of places) {
      const name = partitionName(place);
      if (!this.#readings.has(name))
        this.#readings.set(name, {
          ...{ place, leader: -1, leaderEpoch: -1, toldIn: -1, held: 0, goneSince: null },
          failingSince: this.options.clock.monotonic(),
        });
    }
    void this.#route();
  }

  async next(idleMs: number): Promise<RecordChunk | null> {
    const { clock } = this.options;
    const until = clock.monotonic() + idleMs;
    for (;;) {
      // What came before it failed is as good as ever.
      const chunk = this.#take();
      if (chunk) return chunk;
      if (this.#failure) throw this.#failure.error;
      this.#fetchAll();
      const left = until - clock.monotonic();
      if (left <= 0 || this.#over.signal.aborted) return null;
      await this.#rung(left);
    }
  }

  /** What was fetched and not asked for yet. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  close(): void {
    this.#over.abort();
    this.#ring();
  }

  #take(): RecordChunk | null {
    for (let ready = this.#ready[0]; ready; ready = this.#ready[0]) {
      const { reading, place, bytes, chunks } = ready;
      let step: IteratorResult<RecordChunk>;
      try {
        step = chunks.next();
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        // Nothing of this partition may be handed out behind the gap, nor of any other any more.
        this.#ready.length = 0;
        const behind = error instanceof DamagedBatch ? error.next : 0;
        const next = behind > place.offset && behind <= reading.place.offset ? behind : null;
        this.#fail({ kind: 'damaged', place, why: error.message, next });
        return null;
      }
      if (!step.done) {
        // The next answer is under way while this one is handed out.
        this.#fetchAll();
        ready.place = { ...place, offset: step.value.next };
        return step.value;
      }
      reading.held--;
      this.#heldBytes -= bytes;
      this.#ready.shift();
    }
    return null;
  }

  #fetchAll(): void {
    const nodes = new Set([...this.#readings.values()].map(({ leader }) => leader));
    if (nodes.delete(-1)) void this.#route();
    if (this.#heldBytes >= MOST_ANSWERS * this.#limits.maxBytes) return;
    // Whose turn was longest ago comes first.
    const turns = [...nodes].sort((a, b) => (this.#turns.get(a) ?? 0) - (this.#turns.get(b) ?? 0));
    for (const node of turns) if (!this.#fetching.has(node)) void this.#fetch(node);
  }

  async #fetch(node: number): Promise<void> {
    const led = [...this.#readings.values()].filter(({ leader }) => leader === node);
    const asked = led.filter(({ held }) => held < MOST_HELD);
    if (asked.length === 0 || this.#failure || this.#over.signal.aborted) return;
    this.#fetching.add(node);
    this.#turns.set(node, ++this.#turn);
    const maxWaitMs =
      asked.every(({ held }) => held === 0) && asked.length === led.length ? this.#limits.maxWaitMs : SHORT_WAIT_MS;
    const call = fetchCall(
      asked.map(({ place, leaderEpoch }) => ({ ...place, currentEpoch: Math.max(leaderEpoch, place.leaderEpoch) })),
      { ...this.#limits, maxWaitMs },
    );
    try {
      const answers = await this.options.cluster.send(node, 'fetch', call);
      for (const answer of answers) this.#arrived(asked, answer);
    } catch (error) {
      this.#lost(asked, error);
    } finally {
      this.#fetching.delete(node);
      this.#ring();
    }
  }

  #arrived(asked: readonly Reading[], answer: Fetched): void {
    const reading = asked.find(({ place }) => place.topicId === answer.topicId && place.partition === answer.partition);
    if (!reading) return;
    const { place } = reading;
    if (answer.error !== 0) return this.#refused(reading, answer.error);
    if (answer.divergedAt !== null) return this.#fail({ kind: 'diverged', place, at: answer.divergedAt });
    reading.failingSince = reading.goneSince = null;
    this.ends.set(partitionName(place), answer.end);
    const bytes = answer.records?.length ?? 0;
    if (bytes === 0) return;
    // Also where no batch is whole: whoever takes it finds whether it is damaged.
    reading.place = { ...place, ...endOf(answer.records!) };
    reading.held++;
    this.#heldBytes += bytes;
    this.#ready.push({ reading, place, bytes, chunks: this.#chunks(place, answer) });
    // Whoever was served goes last: an answer is filled in the order of asking.
    const name = partitionName(place);
    if (this.#readings.delete(name)) this.#readings.set(name, reading);
  }

  #refused(reading: Reading, code: number): void {
    const { place } = reading;
    if (code === CODES.outOfRange) return this.#fail({ kind: 'out_of_range', place });
    if (code === CODES.denied) return this.#fail({ kind: 'denied', place });
    if (OLD_METADATA.has(code)) this.options.cluster.doubt(reading.toldIn);
    const now = this.options.clock.monotonic();
    const failingMs = now - (reading.failingSince ??= now);
    if (GONE.has(code)) {
      if (now - (reading.goneSince ??= now) > GONE_MS) return this.#fail({ kind: 'topic_gone', place });
    } else if (!MOVED.has(code) || failingMs > this.#patienceMs) {
      const name = partitionName(place);
      this.#failure ??= {
        error: code === UNKNOWN_LEADER_EPOCH ? lagging(name) : toStreamError(new KafkaError(code, name), 'reading'),
      };
      return;
    }
    reading.leader = -1;
  }

  /** The broker is gone, or it is the network: others may lead by now. */
  #lost(asked: readonly Reading[], error: unknown): void {
    if (this.#over.signal.aborted) return;
    const failure = toStreamError(error, 'reading');
    if (failure.code !== 'source_unreachable') {
      this.#failure ??= { error: failure };
      return;
    }
    const now = this.options.clock.monotonic();
    for (const reading of asked) {
      reading.leader = -1;
      reading.goneSince = null;
      reading.failingSince ??= now;
      if (now - reading.failingSince > this.#patienceMs) this.#failure ??= { error: failure };
    }
  }

  /** Asks who leads the partitions that nobody is known to lead, until somebody does. */
  async #route(): Promise<void> {
    if (this.#routing) return;
    this.#routing = true;
    const { cluster, clock } = this.options;
    try {
      const lost = [...this.#readings.values()].filter(({ leader }) => leader < 0);
      const { turn } = cluster;
      const view = await cluster.view([...new Set(lost.map(({ place }) => place.topic))]);
      for (const reading of lost) {
        const topic = view.topics.find((one) => one.topic === reading.place.topic);
        // A topic of another id under this name is for the fetch to find out: it asks by the id.
        const leader = topic?.partitions.find(({ partition }) => partition === reading.place.partition)?.leader ?? -1;
        reading.leader = leader >= 0 ? leader : (view.brokers.keys().next().value ?? -1);
        reading.toldIn = turn;
        if (topic?.id === reading.place.topicId)
          reading.leaderEpoch = Math.max(reading.leaderEpoch, newestEpoch(topic, reading.place.partition));
      }
    } catch (error) {
      const failure = toStreamError(error, 'asking who leads the partitions');
      const since = Math.min(...[...this.#readings.values()].map(({ failingSince }) => failingSince ?? Infinity));
      if (failure.code !== 'source_unreachable' || clock.monotonic() - since > this.#patienceMs)
        this.#failure ??= { error: failure };
    }
    this.#ring();
    await clock.sleep(REROUTE_MS, this.#over.signal);
    this.#routing = false;
    this.#ring();
  }

  *#chunks(place: Place, answer: Fetched): Generator<RecordChunk> {
    const visible = committedOnly(answer.aborted);
    const most = this.options.chunkRecords ?? CHUNK_RECORDS;
    const { topic, topicId, partition } = place;
    for (const batch of batchesOf(answer.records!)) {
      if (batch.lastOffset < place.offset) continue;
      const { leaderEpoch } = batch;
      const next = batch.lastOffset + 1;
      // A batch may begin before what was asked for, and a compacted one has holes.
      const records = visible(batch) ? batch.records().filter(({ offset }) => offset >= place.offset) : [];
      for (let from = 0; from + most < records.length; from += most) {
        const some = records.slice(from, from + most);
        yield { topic, topicId, partition, records: some, leaderEpoch, next: some.at(-1)!.offset + 1 };
      }
      const rest = records.length % most === 0 && records.length > 0 ? most : records.length % most;
      yield { topic, topicId, partition, records: records.slice(records.length - rest), leaderEpoch, next };
    }
  }

  #fail(obstacle: ReadObstacle['obstacle']): void {
    this.#failure ??= { error: new ReadObstacle(obstacle) };
  }

  async #rung(ms: number): Promise<void> {
    const timer = new Limit(this.#over.signal);
    const time = this.options.clock.sleep(ms, timer.signal);
    await Promise.race([new Promise<void>((resolve) => (this.#wake = resolve)), time]);
    timer.end();
  }

  #ring(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }
}
