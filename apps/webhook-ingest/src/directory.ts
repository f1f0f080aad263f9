import { hash } from 'node:crypto';
import { StreamError, type Clock, type Held, type LastError, type Log, type StreamErrorCode } from '@planasonix/core';
import type { InletLedger, ServedStream } from '@planasonix/store';
import { doorOf, type Door } from './door.js';
import type { Inlets } from './inlets.js';
import { forgetKeys, type Surroundings } from './verify/scheme-of.js';

/** What changed takes effect within this time at every instance, also where no bell was heard. */
const LOOK_MS = 400;
/** However many ask for a look: deliveries to a stream that does not run do. */
const SPACING_MS = 30;
/** Whoever asks for what is not there may be anybody: together they cause no more looks than one in this time. */
const STRANGERS_MS = 200;
/** Logs that are opened at once. Invariant 6. */
const OPENINGS_AT_ONCE = 8;
/** How often others are told that an opening takes longer; well within what they wait for the next word (`InletLedger`). */
const KEEP_MS = 1_000;
/** What takes longer may hang: another instance may try. */
const LONGEST_OPENING_MS = 60_000;
/** What can't be opened now is tried again after this. */
const AGAIN_MS = 500;

export interface DirectoryDeps {
  readonly instance: string;
  readonly sourceType: string;
  readonly ledger: Pick<InletLedger, 'versions' | 'streams' | 'beginOpening' | 'keepOpening' | 'opened' | 'notOpened'>;
  readonly inlets: Inlets;
  readonly around: Surroundings;
  readonly clock: Clock;
  readonly log: Log;
}

interface Known {
  readonly row: ServedStream;
  /** `null`: its config can't be served. */
  readonly door: Door | null;
  /** Why it can't. */
  readonly why: unknown;
}

/** A stream that can't be served here. */
export interface Unserved {
  readonly id: string;
  /** Why, as in its `last_error`. */
  readonly code: StreamErrorCode;
  /** It runs, perhaps at other instances. */
  readonly isShut: boolean;
}

/** All streams that this instance serves, as the store has them, and the opening of those that were started. */
export class Directory {
  #known: ReadonlyMap<string, Known> = new Map();
  #byToken: ReadonlyMap<string, Door> = new Map();
  #unserved: ReadonlyMap<string, Unserved> = new Map();
  /** Id → what was told of a stream that can't be served here. */
  readonly #told = new Map<string, string>();
  #looking: Promise<void> | null = null;
  #next: Promise<void> | null = null;
  #forStrangers: Promise<void> | null = null;
  #beganAt = Number.NEGATIVE_INFINITY;
  #lookedAt: number | null = null;
  readonly #opening = new Set<string>();
  readonly #stopping = new AbortController();

  constructor(private readonly deps: DirectoryDeps) {}

  start(): void {
    void this.#keepLooking();
  }

  stop(): void {
    this.#stopping.abort();
  }

  /** The store has answered lately, or at all. */
  isFresh(withinMs: number): boolean {
    return this.#lookedAt !== null && this.deps.clock.monotonic() - this.#lookedAt < withinMs;
  }

  /** By digest, so that the time of a look tells nothing about the tokens that there are. */
  byToken(token: string): Door | null {
    return this.#byToken.get(digest(token)) ?? null;
  }

  /** A stream has this address, and no delivery to it can be checked here: its secrets can't be read, or its config is refused. */
  unserved(token: string): Unserved | null {
    return this.#unserved.get(digest(token)) ?? null;
  }

  /** The same of a stream by its id. */
  unservedById(id: string): Unserved | null {
    const known = this.#known.get(id);
    return known?.door === null ? unservedOf(known, this.deps.clock) : null;
  }

  /** It is there, whether or not it can be served. */
  has(id: string): boolean {
    return this.#known.has(id);
  }

  byId(id: string): Door | null {
    return this.#known.get(id)?.door ?? null;
  }

  doors(): readonly Door[] {
    return [...this.#known.values()].flatMap(({ door }) => (door === null ? [] : [door]));
  }

  /** Also of those that can't be served. */
  rows(): readonly ServedStream[] {
    return [...this.#known.values()].map(({ row }) => row);
  }

  /** Looks at the store, from now: a look that began before does not count. Never rejects. */
  look(): Promise<void> {
    const wait = this.#beganAt + SPACING_MS - this.deps.clock.monotonic();
    if (this.#looking === null && wait <= 0)
      return (this.#looking = this.#once().finally(() => (this.#looking = null)));
    return (this.#next ??= this.#lookAfter(wait));
  }

  /** The same, and seldom: for addresses that are not known. */
  lookForStrangers(): Promise<void> {
    const wait = this.#beganAt + STRANGERS_MS - this.deps.clock.monotonic();
    return (this.#forStrangers ??= this.deps.clock.sleep(Math.max(0, wait)).then(() => {
      this.#forStrangers = null;
      return this.look();
    }));
  }

  async #lookAfter(ms: number): Promise<void> {
    await Promise.all([this.#looking, this.deps.clock.sleep(Math.max(0, ms))]);
    this.#next = null;
    return this.look();
  }

  /** The log of a stream that runs is not what it was: opens it anew, or says that it is lost. */
  async reopen({ row }: Door): Promise<void> {
    await this.#open(row, row.epoch);
    await this.look();
  }

  async #keepLooking(): Promise<void> {
    do await this.look();
    while (await this.deps.clock.sleep(LOOK_MS, this.#stopping.signal));
  }

  async #once(): Promise<void> {
    const { ledger, sourceType, clock, log } = this.deps;
    this.#beganAt = clock.monotonic();
    try {
      const versions = await ledger.versions(sourceType);
      const changed = [...versions].filter(([id, version]) => !this.#isCurrent(id, version)).map(([id]) => id);
      const rows = new Map((await ledger.streams(sourceType, changed)).map((row) => [row.id, row]));
      const known = new Map<string, Known>();
      for (const id of versions.keys()) {
        const row = rows.get(id);
        const entry = row ? { row, ...this.#doorOf(row) } : this.#known.get(id);
        if (entry) known.set(id, entry);
      }
      this.#known = known;
      const doors = this.doors();
      this.#byToken = new Map(doors.map((door) => [digest(door.row.token), door]));
      forgetKeys(
        this.deps.around.remoteKeys,
        doors.map(({ config }) => config.auth),
      );
      const closed = [...known.values()].filter(({ door }) => door === null);
      this.#unserved = new Map(closed.map((one) => [digest(one.row.token), unservedOf(one, clock)]));
      for (const one of closed) if (isShut(one)) void this.#tellShut(one);
      this.#lookedAt = clock.monotonic();
      for (const { row } of known.values())
        if (row.isDue && this.#opening.size < OPENINGS_AT_ONCE) void this.#open(row, null).then(() => this.look());
    } catch (error) {
      // What is known serves on: the log refuses what is out of date.
      log.debug({ err: error }, 'the store could not be looked at');
    }
  }

  /** Another instance may serve it, so it still runs; what keeps this one from it is said once (Invariant 7). */
  async #tellShut({ row: { id, epoch, generation }, why }: Known): Promise<void> {
    const told = `${epoch}:${generation}`;
    if (this.#told.get(id) === told) return;
    this.#told.set(id, told);
    const { said } = reasonOf(why, this.deps.clock);
    await this.deps.ledger
      .notOpened({ streamId: id, epoch }, generation, said, false)
      .catch(() => this.#told.delete(id));
  }

  #isCurrent(id: string, version: string): boolean {
    const known = this.#known.get(id);
    const ends = known?.door?.secretEndsAt ?? null;
    return known?.row.version === version && (ends === null || ends > this.deps.clock.now());
  }

  #doorOf(row: ServedStream): Omit<Known, 'row'> {
    try {
      return { door: doorOf(row, this.deps.around), why: null };
    } catch (error) {
      const { code } = error as { code?: unknown };
      this.deps.log.warn({ streamId: row.id, code }, 'a stream can not be served');
      return { door: null, why: error };
    }
  }

  /** Log first, row second: what the row says is true then (Invariant 7). */
  async #open(row: ServedStream, again: number | null): Promise<void> {
    const { ledger, inlets, instance, log, clock } = this.deps;
    if (this.#opening.has(row.id) || this.#stopping.signal.aborted) return;
    this.#opening.add(row.id);
    try {
      const begun = await ledger.beginOpening(instance, row.id, again);
      if (begun === null) return;
      const { held, generation } = begun;
      try {
        doorOf(row, this.deps.around);
        const opening = inlets.of(row.output).open(row.id, held.epoch, begun.mark);
        const mark = await this.#keptWhile(opening, held, generation);
        const said = await ledger.opened(held, generation, mark);
        if (said) log.info({ streamId: row.id, epoch: held.epoch }, 'stream open');
        else await ledger.notOpened(held, generation, null, false);
      } catch (error) {
        const why = reasonOf(error, clock);
        const final = why.recourse !== 'retry' && why.recourse !== 'fenced';
        log.warn({ streamId: row.id, code: why.said.code }, 'a stream could not be opened');
        await ledger.notOpened(held, generation, why.recourse === 'fenced' ? null : why.said, final);
        if (!final) await clock.sleep(AGAIN_MS, this.#stopping.signal);
      }
    } catch (error) {
      log.debug({ streamId: row.id, err: error }, 'the store did not hear of an opening');
      await clock.sleep(AGAIN_MS, this.#stopping.signal);
    } finally {
      this.#opening.delete(row.id);
    }
  }

  /** However long it takes: another instance that began as well would bar this one, and be barred by it in turn. */
  #keptWhile<T>(opening: Promise<T>, held: Held, generation: number): Promise<T> {
    const { ledger, clock, log } = this.deps;
    const over = new AbortController();
    const keep = async () => {
      const until = clock.monotonic() + LONGEST_OPENING_MS;
      while ((await clock.sleep(KEEP_MS, over.signal)) && clock.monotonic() < until)
        await ledger
          .keepOpening(held, generation)
          .catch((error: unknown) => log.debug({ ...held, err: error }, 'the store did not hear of an opening'));
    };
    void keep();
    return opening.finally(() => over.abort());
  }
}

/** It runs, and can't be served here: its secrets can't be read, or its config is one that this version refuses. */
const isShut = ({ row: { status, desired }, door }: Known): boolean =>
  door === null && status === 'running' && desired === 'running';

const unservedOf = (one: Known, clock: Clock): Unserved => ({
  id: one.row.id,
  code: reasonOf(one.why, clock).said.code,
  isShut: isShut(one),
});

const digest = (token: string): string => hash('sha256', token, 'base64');

interface Reason {
  readonly recourse: StreamError['recourse'];
  readonly said: LastError & { readonly code: StreamErrorCode };
}

function reasonOf(error: unknown, clock: Clock): Reason {
  const known =
    error instanceof StreamError
      ? error
      : new StreamError('config_invalid', 'A secret of the config is no key of its scheme', { cause: error });
  const { code, message, hint, recourse } = known;
  return { recourse, said: { code, message, hint, occurred_at: new Date(clock.now()).toISOString() } };
}
