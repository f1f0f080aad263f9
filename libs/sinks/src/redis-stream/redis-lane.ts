import { StreamError, type Clock, type TakenIn } from '@planasonix/core';
import { InletLine, type Waiting } from '../inlet-line.js';
import { hasTimedOut, INLET_COMMAND_MS, logUnavailable } from './connection.js';

/** What a write came to. */
export interface Landed {
  /** Of each of the group. */
  readonly taken: readonly TakenIn[];
  /** `null`: it is on the disk. Else resolves once it is, and rejects where that can't be known. */
  readonly settled: (() => Promise<void>) | null;
}

export interface LaneOptions {
  /** Writes a group, in one step. @throws StreamError what of it was written is not known, or nothing may be */
  readonly write: (group: readonly Waiting[]) => Promise<Landed>;
  /** Nothing that may have been written before waits to be written again. */
  readonly caughtUp: (epoch: number) => void;
  /** Nothing of it is under way any more. */
  readonly idle: () => void;
  readonly clock: Clock;
  /** The log is closed. */
  readonly closing: AbortSignal;
}

/** Those of a group that still wait for their answer, in their order; `null`: not written yet. */
type Group = Map<Waiting, TakenIn | null>;

const FULL: TakenIn = { kind: 'full' };
/** How long it waits before it tries again what was not written. */
const AGAIN_MS = 50;

/**
 * Deliveries of one stream at one instance, on their way into Redis: while a group is written, the next one gathers. Where
 * a write is on the disk later than it is answered, others are written meanwhile.
 */
export class RedisLane {
  readonly #line = new InletLine();
  /** What is known of those that are to be written again. */
  readonly #before = new WeakMap<Waiting, TakenIn | null>();
  #isBusy = false;
  #flight: Group | null = null;
  #hasNoRoom = false;
  /** Written, and perhaps not on the disk; in their order. It holds nobody who was answered. Invariant 6. */
  readonly #settling = new Set<Group>();

  constructor(private readonly options: LaneOptions) {}

  /** @param next runs what it is given once what else is to go with it has come */
  push(one: Waiting, next: (run: () => void) => unknown): void {
    if (this.#hasNoRoom && one.intake.inOrder) return one.resolve(FULL);
    this.#line.push(one);
    this.#start(next);
  }

  /**
   * The connection was lost, or Redis does not say that it kept what it was given: what may have gone with it is written
   * again, in its order, before anything that came later (Invariant 5). What Redis still has it knows again; it is no repeat.
   */
  rewind(): void {
    if (this.#settling.size === 0) return;
    this.#putBack([...this.#underWay()]);
    this.#settling.clear();
    this.#flight = null;
    this.#start(setImmediate);
  }

  /** Whose time is over `by` then hears it, also while Redis hangs. What was sent may yet be written: sent again it is a repeat. */
  tellLate(by: number): void {
    this.#refuse(by, new StreamError('log_unavailable', 'The log took too long'));
  }

  close(): void {
    this.#refuse(Infinity, new StreamError('log_unavailable', 'The log was closed'));
  }

  #start(next: (run: () => void) => unknown): void {
    if (this.#isBusy) return;
    this.#isBusy = true;
    next(() => void this.#drain());
  }

  async #drain(): Promise<void> {
    for (let group = this.#line.take(); group.length > 0; group = this.#line.take()) {
      const flight: Group = new Map(group.map((one) => [one, null]));
      this.#flight = flight;
      try {
        const landed = await this.options.write(group);
        // It is written again.
        if (this.#flight !== flight) continue;
        this.#land(flight, group, landed);
        const next = this.#line.first;
        if (next === undefined || !this.#before.has(next)) this.options.caughtUp(group[0]!.epoch);
        if (landed.taken.some(({ kind }) => kind === 'full')) await this.#refuseAll();
      } catch (error) {
        await this.#again(flight, logUnavailable(error));
      }
    }
    this.#isBusy = false;
    this.#rest();
  }

  #land(flight: Group, group: readonly Waiting[], { taken, settled }: Landed): void {
    this.#flight = null;
    for (const [i, one] of group.entries()) {
      const what = this.#own(one, taken[i]!);
      if (settled === null || what.kind === 'full') {
        flight.delete(one);
        one.resolve(what);
      } else if (flight.has(one)) flight.set(one, what);
    }
    if (settled === null || flight.size === 0) return;
    this.#settling.add(flight);
    void this.#settle(flight, settled());
  }

  /** It is no repeat of what it was itself. */
  #own(one: Waiting, what: TakenIn): TakenIn {
    const isOwn = what.kind === 'repeated' && this.#before.get(one)?.kind === 'written';
    return isOwn ? { kind: 'written', id: what.id } : what;
  }

  #putBack(groups: readonly Group[]): void {
    const all = groups.flatMap((group) => [...group]);
    for (const [one, taken] of all) this.#before.set(one, taken ?? this.#before.get(one) ?? null);
    this.#line.putBack(all.map(([one]) => one));
  }

  /** Who came before it was known that there is no room, and keeps the order, would overtake those who found none (Invariant 5). */
  async #refuseAll(): Promise<void> {
    for (const { resolve } of this.#line.remove(({ intake }) => intake.inOrder)) resolve(FULL);
    this.#hasNoRoom = true;
    await new Promise(setImmediate);
    this.#hasNoRoom = false;
  }

  async #settle(group: Group, settled: Promise<void>): Promise<void> {
    const isThere = await settled.then(
      () => true,
      () => false,
    );
    if (!this.#settling.has(group)) return;
    if (!isThere) return this.rewind();
    this.#settling.delete(group);
    for (const [{ resolve }, taken] of group) resolve(taken!);
    this.#rest();
  }

  /** What still has time is tried again; the rest hears why it was not written, as far as is known. */
  async #again(flight: Group, error: StreamError): Promise<void> {
    const { clock, closing } = this.options;
    if (this.#flight === flight) {
      this.#flight = null;
      if (error.recourse !== 'retry') return flight.forEach((_, { reject }) => reject(error));
      // Redis may yet take what it was sent, and that is held until then: it is not sent again without time for an answer.
      if (hasTimedOut(error)) tell(flight, clock.monotonic() + INLET_COMMAND_MS, error);
      this.#putBack([flight]);
    }
    const by = closing.aborted ? Infinity : clock.monotonic() + AGAIN_MS;
    for (const { reject } of this.#line.late(by)) reject(error);
    if (!this.#line.isEmpty) await clock.sleep(AGAIN_MS, closing);
  }

  #refuse(by: number, error: StreamError): void {
    for (const { reject } of this.#line.late(by)) reject(error);
    for (const group of this.#underWay()) tell(group, by, error);
  }

  *#underWay(): Iterable<Group> {
    yield* this.#settling;
    if (this.#flight !== null) yield this.#flight;
  }

  #rest(): void {
    if (!this.#isBusy && this.#settling.size === 0) this.options.idle();
  }
}

/** Those whose time is over `by` then. */
function tell(group: Group, by: number, error: StreamError): void {
  for (const one of group.keys())
    if (one.until <= by) {
      group.delete(one);
      one.reject(error);
    }
}
