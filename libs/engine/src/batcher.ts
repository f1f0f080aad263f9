import { ROW_EVENT_TYPES, type ChangeBatch, type ChangeEvent, type Position } from '@planasonix/core';

/** Several batches of one partition that go into the log together. */
export interface Group {
  readonly partition: string;
  events: readonly ChangeEvent[];
  position: Position | null;
  bytes: number;
  /** Commit time of the oldest event, ms; `null` without events. */
  oldestMs: number | null;
  /** Takes no more. */
  closed: boolean;
}

export interface BatchLimits {
  readonly batchEvents: number;
  /** Bytes of data and an allowance for each event's other fields. */
  readonly batchBytes: number;
}

const EVENT_OVERHEAD = 150;

export const isSnapshot = ({ events }: Pick<ChangeBatch, 'events'>): boolean => events[0]?.type === ROW_EVENT_TYPES.r;

/** The least of those that are known; `null`: none is. */
export function oldestOf(times: Iterable<number | null>): number | null {
  let oldest: number | null = null;
  for (const ms of times) if (ms !== null && (oldest === null || ms < oldest)) oldest = ms;
  return oldest;
}

/**
 * Merges what a source yields into groups, first in first out. A batch is never split, and what has no position of its
 * own is never put behind a position: a group is whole commits, or a part of one.
 */
export class Batcher {
  readonly #queue: Group[] = [];
  readonly #open = new Map<string, Group>();
  #events = 0;
  #bytes = 0;
  #taken = 0;

  constructor(private readonly limits: BatchLimits) {}

  get empty(): boolean {
    return this.#queue.length === 0;
  }

  get head(): Group | undefined {
    return this.#queue[0];
  }

  get length(): number {
    return this.#queue.length;
  }

  /** As much as one batch may hold waits: pull no more. Invariant 6. */
  get full(): boolean {
    return this.#events >= this.limits.batchEvents || this.#bytes >= this.limits.batchBytes;
  }

  oldestMs(): number | null {
    return oldestOf(this.#queue.map((group) => group.oldestMs));
  }

  /** Events that wait, and those that were taken since it began. */
  get counts(): { readonly waiting: number; readonly taken: number } {
    return { waiting: this.#events, taken: this.#taken };
  }

  add(batch: ChangeBatch): void {
    let bytes = 0;
    let oldestMs: number | null = null;
    for (const event of batch.events) {
      bytes += event.data.length + EVENT_OVERHEAD;
      if (oldestMs === null || event.timeMs < oldestMs) oldestMs = event.timeMs;
    }
    this.#events += batch.events.length;
    this.#bytes += bytes;
    // A notebook tells of what went before it: nothing that comes later may go with that.
    if (batch.partition.startsWith('#')) for (const open of this.#open.values()) open.closed = true;
    const group = this.#open.get(batch.partition);
    if (group && this.#fits(group, batch, bytes)) {
      if (batch.events.length > 0)
        group.events =
          group.events.length > 0 ? append(group.events as ChangeEvent[], batch.events) : [...batch.events];
      group.position = batch.position ?? group.position;
      group.bytes += bytes;
      group.oldestMs ??= oldestMs;
      if (oldestMs !== null && group.oldestMs !== null && oldestMs < group.oldestMs) group.oldestMs = oldestMs;
      return;
    }
    if (group) group.closed = true;
    const { partition, position } = batch;
    const made = {
      partition,
      events: [...batch.events],
      position,
      bytes,
      oldestMs,
      closed: this.#atLimit(batch.events.length, bytes),
    };
    this.#queue.push(made);
    this.#open.set(partition, made);
  }

  take(): Group {
    const group = this.#queue.shift()!;
    if (this.#open.get(group.partition) === group) this.#open.delete(group.partition);
    this.#events -= group.events.length;
    this.#taken += group.events.length;
    this.#bytes -= group.bytes;
    return group;
  }

  #fits(group: Group, batch: ChangeBatch, bytes: number): boolean {
    if (group.closed) return false;
    if (group.position !== null && batch.position === null) return false; // Invariant 5: no commit with a part of the next
    return (
      group.events.length + batch.events.length <= this.limits.batchEvents &&
      group.bytes + bytes <= this.limits.batchBytes
    );
  }

  #atLimit(events: number, bytes: number): boolean {
    return events >= this.limits.batchEvents || bytes >= this.limits.batchBytes;
  }
}

function append(to: ChangeEvent[], more: readonly ChangeEvent[]): ChangeEvent[] {
  for (const event of more) to.push(event);
  return to;
}
