import { batchesOf, type KafkaRecord, type RecordBatch } from './consumer-batch.js';
import { fetchCall, type FetchLimits } from './consumer-fetch.js';
import type { KafkaCluster } from './client-cluster.js';
import { KafkaError, toStreamError } from './connection-error.js';
import type { Place } from './consumer.js';

const LIMITS: FetchLimits = { maxWaitMs: 0, maxBytes: 4_000_000, partitionBytes: 4_000_000, undecided: true };
const OUT_OF_RANGE = 1;
const NOTHING = Buffer.alloc(0);

export interface LookOptions {
  /** Which records count. */
  readonly wanted: (record: KafkaRecord) => boolean;
  /** So many of them are enough. */
  readonly limit: number;
  /** Records to go through at the most. */
  readonly most: number;
}

interface Written {
  readonly record: KafkaRecord;
  givenUp: boolean;
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
  for (let offset = place.offset; !look.over;) {
    const wish = { ...place, offset };
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

class Look {
  readonly #written: Written[] = [];
  /** Of transactions that are not decided, by producer. */
  readonly #open = new Map<number, Written[]>();
  #seen = 0;

  constructor(private readonly options: LookOptions) {}

  /** Enough is there, and all of it is decided. */
  get over(): boolean {
    const { limit, most } = this.options;
    return this.#seen >= most || (this.#written.length >= limit && this.#open.size === 0);
  }

  get found(): KafkaRecord[] {
    const standing = this.#written.filter(({ givenUp }) => !givenUp).map(({ record }) => record);
    return standing.slice(0, this.options.limit);
  }

  take(batch: RecordBatch, from: number): void {
    const { producerId } = batch;
    if (batch.control) {
      if (batch.aborts) for (const one of this.#open.get(producerId) ?? []) one.givenUp = true;
      this.#open.delete(producerId);
      return;
    }
    for (const record of batch.records()) {
      this.#seen++;
      if (record.offset < from || !this.options.wanted(record)) continue;
      const one: Written = { record, givenUp: false };
      this.#written.push(one);
      if (!batch.transactional) continue;
      const open = this.#open.get(producerId);
      if (open) open.push(one);
      else this.#open.set(producerId, [one]);
    }
  }
}
