import { StreamError, type Clock, type DeliveryReason, type Inlet, type Intake, type TakenIn } from '@planasonix/core';
import type { InletLedger } from '@planasonix/store';
import { received, refusal, type Answer } from './answer.js';
import type { Directory } from './directory.js';
import type { Door } from './door.js';
import type { Inlets } from './inlets.js';
import type { Taken } from './intake.js';
import type { Reporter } from './reporter.js';
import { RoomLine } from './room-line.js';

/** A sender is told within this time that its delivery is not durable (trap 29). */
const DURABLE_MS = 3_000;
/** Deliveries of one stream that wait to become durable, and for room. Invariant 6. */
const MOST_HELD = 4_000;
const MOST_QUEUED = 1_000;
/** After this a sender may try again that found no room. */
const NO_ROOM_MS = 5_000;

export interface StoringDeps {
  readonly inlets: Inlets;
  readonly directory: Directory;
  readonly reporter: Reporter;
  readonly ledger: Pick<InletLedger, 'blocked'>;
  readonly clock: Clock;
}

/** What became of a delivery. */
export type Outcome =
  TakenIn | { readonly kind: 'not_durable' | 'not_running' | 'too_large'; readonly code: DeliveryReason };

/** From a delivery to its answer: yes only when it is durable in the log. */
export class Storing {
  /** What the row was last told of room, under which version of it. */
  readonly #told = new Map<string, { readonly version: string; readonly full: boolean }>();
  /** Of each stream of which some wait for room. */
  readonly #lines = new Map<string, RoomLine>();
  #came = 0;

  constructor(private readonly deps: StoringDeps) {}

  async store(door: Door, taken: Taken): Promise<Answer> {
    const { clock, reporter } = this.deps;
    const tally = reporter.of(door);
    if (tally.held >= MOST_HELD) return this.#withoutRoom(door, taken, 'backlog_full');
    const landed = tally.hold(taken.intake.timeMs);
    try {
      const outcome = await this.#find(door, taken.intake);
      this.#tellRoom(door, outcome.kind === 'full' || this.#lines.has(door.id));
      if (outcome.kind === 'full') return this.#withoutRoom(door, taken, 'log_full');
      if ('code' in outcome) return refusal(outcome.kind, { reason: outcome.code, eventId: taken.eventId });
      const repeated = outcome.kind === 'repeated';
      if (!repeated) tally.durable(clock.now() - taken.intake.timeMs, taken.intake.parts.length);
      return received(outcome.id, { events: taken.events, eventId: taken.eventId, repeated });
    } finally {
      landed();
    }
  }

  async #find(door: Door, intake: Intake): Promise<Outcome> {
    if (door.config.backpressure !== 'queue') return this.#take(door, intake);
    const came = this.#came++;
    if (!this.#lines.get(door.id)?.isWaitedIn) {
      const outcome = await this.#take(door, intake);
      if (outcome.kind !== 'full') return outcome;
    }
    return this.#waitForRoom(door, intake, came);
  }

  /** One try, under the epoch that rules now: another instance or a restart may have raised it. */
  async #take(door: Door, intake: Intake): Promise<Outcome> {
    const { clock, directory, inlets } = this.deps;
    const until = clock.monotonic() + DURABLE_MS;
    for (let at: Door | null = door; ;) {
      if (!at?.isOpen) return { kind: 'not_running', code: 'not_running' };
      const { epoch, output }: Door['row'] = at.row;
      try {
        const inlet: Inlet = inlets.of(output);
        return await inlet.append(at.id, epoch, intake, until);
      } catch (error) {
        const code = error instanceof StreamError ? error.code : 'internal';
        if (code === 'offset_gap') await this.#within(until, directory.reopen(at));
        else if (code === 'fenced') await this.#within(until, this.#settle(at));
        // The topic takes no event of this size, and will not when it comes again.
        else if (code === 'message_too_large') return { kind: 'too_large', code };
        else return { kind: 'not_durable', code };
        at = directory.byId(door.id);
        if (at?.row.epoch === epoch || clock.monotonic() >= until) return { kind: 'not_durable', code };
      }
    }
  }

  /** What the log refused. A stop that barred it and was taken back has left the stream running: it is opened anew then. */
  async #settle({ id, row }: Door): Promise<void> {
    const { directory } = this.deps;
    await directory.look();
    const now = directory.byId(id);
    if (now?.isOpen && now.row.epoch === row.epoch) await directory.reopen(now);
  }

  /** It goes on for those who come later: the store or the log may hang. */
  async #within(until: number, opening: Promise<void>): Promise<void> {
    const { clock } = this.deps;
    const over = new AbortController();
    const time = clock.sleep(Math.max(0, until - clock.monotonic()), over.signal);
    await Promise.race([opening, time]).finally(() => over.abort());
  }

  async #waitForRoom(door: Door, intake: Intake, came: number): Promise<Outcome> {
    const { clock, directory } = this.deps;
    const line = this.#lines.get(door.id) ?? new RoomLine(clock);
    if (line.size >= MOST_QUEUED) return { kind: 'full' };
    this.#lines.set(door.id, line);
    this.#tellRoom(door, true);
    const again = () => this.#take(directory.byId(door.id) ?? door, intake);
    try {
      return await line.wait({ came, until: clock.monotonic() + door.queueMs, again });
    } finally {
      if (line.size === 0) this.#lines.delete(door.id);
    }
  }

  /** @param reason for the user; where too many wait already, the log need not be full. */
  #withoutRoom(door: Door, taken: Taken, reason: 'log_full' | 'backlog_full'): Answer {
    const { intake, events, eventId } = taken;
    if (door.config.backpressure !== 'shed') return refusal('log_full', { reason, waitMs: NO_ROOM_MS, eventId });
    // The loss that the user chose, and counted as such.
    this.deps.reporter.of(door).dropped(intake.parts.length);
    return received(intake.id, { events, eventId, dropped: true });
  }

  /** Shown in the row when it changes, whichever instance has shown what is there. */
  #tellRoom({ id, row }: Door, full: boolean): void {
    const { directory, ledger } = this.deps;
    const told = this.#told.get(id);
    // The view may be older than what was told.
    const shown = told?.version === row.version ? told.full : row.isBlocked;
    if (full === shown) return;
    for (const one of this.#told.keys()) if (!directory.has(one)) this.#told.delete(one);
    this.#told.set(id, { version: row.version, full });
    const held = { streamId: id, epoch: row.epoch };
    // The store may be away: the next delivery tells it then.
    ledger.blocked(held, full ? 'log_full' : null).catch(() => this.#told.delete(id));
  }
}
