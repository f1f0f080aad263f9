import { StreamError, type Clock, type Log, type Owned, type ReleaseReport } from '@planasonix/core';
import { KafkaError, partitionName, type GroupOffset, type KafkaCluster, type Place } from '@planasonix/kafka';
import type { KafkaPosition } from './position.js';

export interface GroupInput {
  readonly cluster: KafkaCluster;
  readonly streamId: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Another worker leads the stream. */
  readonly helps: boolean;
  /** Others may read along, now or before. */
  readonly shared: boolean;
  readonly owned: Owned;
  readonly remember: (owned: Owned) => Promise<void>;
}

const EVERY_MS = 1_000;
const AFTER_FAILURE_MS = 4_000;
const NON_EMPTY = 68;
/** For so long it is deleted again where it is back: what `close` gives the last writing, and some more. */
const AGAIN_MS = 3_000;
/** Who helps has written by then, where he looked before it was deleted. */
const AGAIN_EVERY_MS = 300;

/**
 * A consumer group that shows people's tools how far the stream is. Its offsets are written and never read; it has no
 * members, so nothing is balanced. A group that can't be written is no reason to stop.
 */
export class ReaderGroup {
  readonly name: string;
  readonly #pending = new Map<string, GroupOffset>();
  readonly #closing = new AbortController();
  /** Where reading begins, until the group was seen or made. */
  #unmade: readonly Place[] | null = null;
  #remembered: boolean;
  #writing: Promise<void> | null = null;
  #nextAt = 0;
  #complained = false;

  constructor(private readonly input: GroupInput) {
    this.#remembered = input.owned['group'] !== undefined;
    this.name = input.owned['group'] ?? `planasonix-${input.streamId}`;
  }

  /**
   * Reading begins at these. Makes the group where there is none: it is shown from then on, also where it is those who
   * help that have something to read.
   */
  begins(places: readonly Place[]): void {
    if (this.input.helps) return;
    this.#unmade = places;
    this.#write();
  }

  /** Everything before `position` is durable elsewhere. Written within a second, also if nothing comes after it. */
  durable(partition: string, { offset, leader_epoch }: KafkaPosition): void {
    const slash = partition.lastIndexOf('/');
    const at = { topic: partition.slice(0, slash), partition: Number(partition.slice(slash + 1)) };
    this.#pending.set(partitionName(at), { ...at, offset, leaderEpoch: leader_epoch });
    this.#write();
  }

  /** Until nothing is left to be written. One at a time. */
  #write(): void {
    this.#writing ??= this.#untilWritten();
  }

  async #untilWritten(): Promise<void> {
    const { clock } = this.input;
    while (this.#unmade !== null || this.#pending.size > 0) {
      await clock.sleep(Math.max(0, this.#nextAt - clock.monotonic()), this.#closing.signal);
      if (this.#closing.signal.aborted) break;
      this.#nextAt = clock.monotonic() + EVERY_MS;
      try {
        await this.#commit();
        this.#complained = false;
      } catch (error) {
        this.#complain(error);
        this.#nextAt += AFTER_FAILURE_MS;
      }
    }
    // In the turn of the last look: what comes later begins anew.
    this.#writing = null;
  }

  /** What is left to be written, with a second for it. */
  async close(): Promise<void> {
    const { clock } = this.input;
    this.#closing.abort();
    const limit = new AbortController();
    const last = (this.#writing ?? Promise.resolve()).then(() => (this.#remembered ? this.#commit() : undefined));
    await Promise.race([last.catch((error: unknown) => this.#complain(error)), clock.sleep(EVERY_MS, limit.signal)]);
    limit.abort();
  }

  /** Deletes the group and looks whether it is gone. */
  async release(): Promise<ReleaseReport> {
    const { clock, shared } = this.input;
    const what = `group ${this.name}`;
    if (!this.#remembered) return { released: [], remaining: [] };
    this.#pending.clear();
    try {
      const until = clock.monotonic() + AGAIN_MS;
      let state = await this.#delete();
      // Who read along may have written the last offsets just now, or be about to, and so make it again.
      for (let again = shared || state !== 'Dead'; again && clock.monotonic() < until; again = state !== 'Dead') {
        await clock.sleep(AGAIN_EVERY_MS);
        state = await this.#delete();
      }
      return state === 'Dead'
        ? { released: [what], remaining: [] }
        : { released: [], remaining: [{ what, why: `It is still there (${state}).`, code: 'active_consumers' }] };
    } catch (error) {
      const failure = error instanceof StreamError ? error : new StreamError('internal', 'It could not be deleted.');
      const members = failure.cause instanceof KafkaError && failure.cause.code === NON_EMPTY;
      const why = members ? 'Other consumers are its members. End them, or delete with force=true.' : failure.message;
      return { released: [], remaining: [{ what, why, code: members ? 'active_consumers' : failure.code }] };
    }
  }

  async #delete(): Promise<string> {
    const { cluster } = this.input;
    await cluster.deleteGroup(this.name);
    return cluster.groupState(this.name);
  }

  /**
   * What could not be written is still to be. Where there is no group it is made by the lead alone, and not as he closes: others
   * may be at it still when the stream is deleted already. He is remembered each time, before; who was frozen while the
   * stream was deleted is refused there. And it is looked at before: what may not be seen could not be given back.
   */
  async #commit(): Promise<void> {
    const { cluster, helps, owned, remember } = this.input;
    const pending = [...this.#pending];
    const unmade = this.#unmade;
    if (pending.length === 0 && unmade === null) return;
    const isThere = (await cluster.groupState(this.name)) !== 'Dead';
    if (!isThere && (helps || this.#closing.signal.aborted)) return;
    if (!isThere || !this.#remembered) await remember({ ...owned, group: this.name });
    this.#remembered = true;
    const beginning = isThere ? [] : (unmade ?? []).filter((place) => !this.#pending.has(partitionName(place)));
    await cluster.commit(this.name, [...beginning, ...pending.map(([, offset]) => offset)]);
    if (this.#unmade === unmade) this.#unmade = null;
    for (const [name, offset] of pending) if (this.#pending.get(name) === offset) this.#pending.delete(name);
  }

  #complain(error: unknown): void {
    const { log, streamId } = this.input;
    if (!this.#complained) log.warn({ streamId, group: this.name, err: error }, 'the group could not be written');
    this.#complained = true;
  }
}
