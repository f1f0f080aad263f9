import { KafkaError } from './connection-error.js';

/** The producer is no longer the one, or its transaction is no more: what is open will never be committed. */
export class TransactionLost extends Error {
  constructor(cause: KafkaError) {
    super(cause.message, { cause });
    this.name = 'TransactionLost';
  }
}

/** Out of order, fenced, in no transaction, unknown producer: after any of them only a new beginning helps. */
const LOST: ReadonlySet<number> = new Set([45, 47, 48, 49, 59, 67, 90, 120]);

export const lostOr = (error: unknown): unknown =>
  error instanceof KafkaError && LOST.has(error.code) ? new TransactionLost(error) : error;

/** A leader or a coordinator that is lost is replaced within seconds. Milliseconds. */
export const PATIENCE_MS = 30_000;
