import type { RecordBatch } from './consumer-batch.js';

/** A transaction that was given up, as a fetch tells of it. */
export interface AbortedTransaction {
  readonly producerId: number;
  readonly firstOffset: number;
}

/**
 * Batches that a reader of what is committed may see, of one fetch. Transactions of several producers lie interleaved in a
 * partition, and brokers list those that were given up by their end: so the set of producers whose transaction is
 * given up is kept while going through (trap 25a). What is left out still moves the position.
 */
export function committedOnly(aborted: readonly AbortedTransaction[]): (batch: RecordBatch) => boolean {
  const coming = [...aborted].sort((a, b) => a.firstOffset - b.firstOffset);
  const open = new Set<number>();
  let next = 0;
  return (batch) => {
    for (; next < coming.length && coming[next]!.firstOffset <= batch.lastOffset; next++)
      open.add(coming[next]!.producerId);
    if (batch.control) {
      if (batch.aborts) open.delete(batch.producerId);
      return false;
    }
    return !(batch.transactional && open.has(batch.producerId));
  };
}
