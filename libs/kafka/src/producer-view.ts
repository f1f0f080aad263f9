import { batchesOf, type KafkaRecord, type RecordBatch } from './consumer-batch.js';
import { fetchCall, type FetchLimits } from './consumer-fetch.js';
import type { KafkaCluster } from './client-cluster.js';
import { newestEpoch } from './client-requests.js';
import { KafkaError, toStreamError } from './connection-error.js';
import type { Place } from './consumer.js';

const LIMITS: FetchLimits = { maxWaitMs: 0, maxBytes: 4_000_000, partitionBytes: 4_000_000, undecided: true };
const OUT_OF_RANGE = 1;
const NOTHING = Buffer.alloc(0);
/** Records that are kept beyond those that may be told, before the others are sorted out. */
const SLACK = 1_000;

export interface LookOptions {
  /** Which records count. */
  readonly wanted: (record: KafkaRecord) => boolean;
  /** So many of them at the most. */
  readonly limit: number;
  /** The first ones that there are, or the last. */
  readonly end: 'first' | 'last';
  /** Records to go through at the most. */
  readonly most: number;
}

interface Written {
  readonly record: KafkaRecord;
  fate: 'stands' | 'undecided' | 'given up';
}

/**
 * What is wanted of a partition from a place on, up to its present end: what is committed, and what a producer has
 * written in a transaction that is still open. What was given up is left out. For a look; a reader of the log waits for
 * the commit.
 */
export async function lookAt(cluster: KafkaCluster, place: Place, options: LookOptions): Promise<KafkaRecord[]> {
  const look = new Look(options);
  const view = (await cluster.view([place.topic])).topics.find(({ topic }) => topic === place.topic);
  const leader = view?.partitions.find(({ partition }) => partition === place.partition)?.leader ?? -1;
  const currentEpoch = newestEpoch(view, place.partition, place);
  for (let offset = place.offset; !look.over;) {
    const wish = { ...place, offset, currentEpoch };
    const [answer] = await cluster.send(leader, 'ask', fetchCall([wish], LIMITS)).catch((error: unknown) => {
      throw toStreamError(error, 'looking into the log');
    });
    if (answer === undefined || answer.error === OUT_OF_RANGE) break;
    if (answer.error !== 0) throw toStreamError(new KafkaError(answer.error, place.topic), 'looking into the log');
    const from = offset;
    for (const batch of batchesOf(answer.records ?? NOTHING)) {
      if (batch.lastOffset < from) continue;
      offset = batch.lastOffset + 1;
      look.take(batch, from);
    }
    if (offset === from) break;
  }
  return look.found;
}

/** What was found so far. Of the last ones no more are kept than may be told (Invariant 6). */
export class Look {
  #written: Written[] = [];
  /** Of transactions that are not decided, by producer. */
  readonly #open = new Map<number, Written[]>();
  #seen = 0;

  constructor(private readonly options: LookOptions) {}

  /** Enough is there, and all of it is decided. */
  get over(): boolean {
    const { limit, most, end } = this.options;
    return this.#seen >= most || (end === 'first' && this.#written.length >= limit && this.#open.size === 0);
  }

  /** Records in memory. */
  get kept(): number {
    return this.#written.length;
  }

  get found(): KafkaRecord[] {
    const { limit, end } = this.options;
    const standing = this.#written.filter(({ fate }) => fate !== 'given up').map(({ record }) => record);
    return end === 'first' ? standing.slice(0, limit) : standing.slice(-limit);
  }

  take(batch: RecordBatch, from: number): void {
    const { producerId } = batch;
    if (batch.control) {
      for (const one of this.#open.get(producerId) ?? []) one.fate = batch.aborts ? 'given up' : 'stands';
      this.#open.delete(producerId);
      return;
    }
    for (const record of batch.records()) {
      if (record.offset < from) continue;
      this.#seen++;
      if (!this.options.wanted(record)) continue;
      const one: Written = { record, fate: batch.transactional ? 'undecided' : 'stands' };
      this.#written.push(one);
      if (!batch.transactional) continue;
      const open = this.#open.get(producerId);
      if (open) open.push(one);
      else this.#open.set(producerId, [one]);
    }
    const { limit, end } = this.options;
    if (end === 'last' && this.#written.length > 4 * limit + SLACK) this.#prune();
  }

  /** What stands may be told, as far as `limit` goes back; so may what a producer has not decided yet. The rest never is. */
  #prune(): void {
    const { limit } = this.options;
    for (const [producerId, open] of this.#open) this.#open.set(producerId, open.slice(-limit));
    const undecided = new Set([...this.#open.values()].flat());
    let standing = 0;
    this.#written = this.#written
      .reverse()
      .filter((one) => (one.fate === 'stands' ? standing++ < limit : undecided.has(one)))
      .reverse();
  }
}
