/**
 * Places on the way of a change or a command at which a process may be made to end, so that tests can ask what is left
 * behind. In the order of the path.
 */
export const STEPS = [
  /** Gateway: the command is accepted in the store, its bell has not been rung. */
  'outbox-written',
  /** Gateway: the bell has been rung, the outbox row is still there. */
  'outbox-relayed',
  /** Worker: the lease is ours, nothing has been opened. */
  'lease-claimed',
  'publication-created',
  'slot-created',
  /** Rows of a snapshot were handed over and are not in the log. */
  'snapshot-chunk',
  /** Rows of a snapshot are in the log, their position (where they have one) is not committed. */
  'snapshot-recorded',
  /** Between log and position. */
  'log-appended',
  /** Between position and acknowledgement. */
  'position-committed',
  'acknowledged',
  /** Worker: the rows of an order are in the log and their position is committed, the order is still open. */
  'order-done',
  /** Worker: the row says that the stream is over its budget, its slot is still there. */
  'condemned',
  /** Worker: the slot is gone, the lease is still held. */
  'let-go',
  /** Gateway: the position that a user sets is marked in the store, the log has not been touched. */
  'position-begun',
  /** Gateway: it is in the log and not in the store. */
  'position-placed',
  /** Gateway: what a deleted stream held at its source is given back, log and row are there. */
  'delete-released',
  /** Gateway: its row is gone, its log has yet to be told that it is to expire. */
  'delete-removed',
] as const;
export type Step = (typeof STEPS)[number];

/** Called at a step, once per batch at the most. Does nothing, or does not return. */
export type Steps = (step: Step) => void;

export const noSteps: Steps = () => undefined;
