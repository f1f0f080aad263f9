import { latencyBucket, type InletCounts } from '@planasonix/core';

/** One answer, as users see it: no body, no secret. */
export interface AnswerNote {
  /** ms since the Unix epoch. */
  readonly atMs: number;
  readonly status: number;
  /** Stable, such as `signature_wrong`; `null` for what was taken in. */
  readonly reason: string | null;
  readonly event_id: string | null;
  readonly id: string | null;
}

/** Notes of each kind between two reports: a flood of one does not hide the other. */
const NOTES = 50;
const LONGEST_ID = 200;

/** What was counted and noted between two reports. */
export interface Taken {
  readonly counts: InletCounts;
  /** Those of `notes` as they are reported. */
  readonly answers: readonly string[];
  readonly failures: readonly string[];
  readonly notes: { readonly good: readonly AnswerNote[]; readonly bad: readonly AnswerNote[] };
}

/** As it lies in the log. */
const textOf = ({ atMs, status, reason, event_id, id }: AnswerNote): string =>
  JSON.stringify({
    at: new Date(atMs).toISOString(),
    ...{ status, reason },
    event_id: event_id === null ? null : event_id.slice(0, LONGEST_ID).toWellFormed(),
    id,
  });

/** What one instance counts of one stream between two reports. */
export class Tally {
  #errors = 0;
  #rejected = 0;
  #dropped = 0;
  #latency = new Map<number, number>();
  #good: AnswerNote[] = [];
  #bad: AnswerNote[] = [];
  /** When each delivery came that is held and not durable, ms; in the order of coming. */
  readonly #pending = new Set<{ readonly atMs: number }>();

  get isEmpty(): boolean {
    return (
      this.#errors + this.#rejected + this.#dropped + this.#good.length + this.#bad.length + this.#latency.size === 0 &&
      this.#pending.size === 0
    );
  }

  get hasNotes(): boolean {
    return this.#good.length + this.#bad.length > 0;
  }

  get held(): number {
    return this.#pending.size;
  }

  get oldestPendingAt(): number | null {
    for (const { atMs } of this.#pending) return atMs;
    return null;
  }

  /** @returns call it when the delivery is durable or given up. */
  hold(atMs: number): () => void {
    const one = { atMs };
    this.#pending.add(one);
    return () => void this.#pending.delete(one);
  }

  durable(ms: number, events: number): void {
    const bucket = latencyBucket(ms);
    this.#latency.set(bucket, (this.#latency.get(bucket) ?? 0) + events);
  }

  dropped(events: number): void {
    this.#dropped += events;
  }

  /** Every answer: what is the sender's fault is rejected, what is ours is an error. A key that nobody has may be named by anybody. */
  answered(note: AnswerNote): void {
    if (note.status >= 500 && note.reason !== 'key_unknown') this.#errors++;
    else if (note.status >= 400) this.#rejected++;
    const notes = note.status < 400 ? this.#good : this.#bad;
    notes.push(note);
    if (notes.length > NOTES) notes.shift();
  }

  /** What was counted so far; it is counted no more, unless it is put back. */
  take(): Taken {
    const counts = { errors: this.#errors, rejected: this.#rejected, dropped: this.#dropped, latency: this.#latency };
    const notes = { good: this.#good, bad: this.#bad };
    const [answers, failures] = [notes.good.map(textOf), notes.bad.map(textOf)];
    [this.#errors, this.#rejected, this.#dropped] = [0, 0, 0];
    this.#latency = new Map();
    [this.#good, this.#bad] = [[], []];
    return { counts, answers, failures, notes };
  }

  /** It was not reported: why deliveries failed while Redis was away is what users will look for. */
  putBack({ counts, notes }: Taken): void {
    this.#good = [...notes.good, ...this.#good].slice(-NOTES);
    this.#bad = [...notes.bad, ...this.#bad].slice(-NOTES);
    this.putCountsBack(counts);
  }

  /** They were not reported, and the notes were. */
  putCountsBack({ errors, rejected, dropped, latency }: InletCounts): void {
    this.#errors += errors;
    this.#rejected += rejected;
    this.#dropped += dropped;
    for (const [bucket, count] of latency) this.#latency.set(bucket, (this.#latency.get(bucket) ?? 0) + count);
  }
}
