import {
  WHOLE,
  type CounterReport,
  type Held,
  type HelperRow,
  type PipelineOutput,
  type Share,
  type StreamSpec,
} from '@planasonix/core';
import type { Attempt } from './attempt.js';
import { barPredecessors } from './bar.js';
import type { Counters } from './counters.js';
import type { EngineDeps } from './deps.js';
import { Spread } from './spread.js';

/** How long the log may take to bar who wrote before; and where they are barred, to say what it has of theirs. */
const BAR_MS = 2_000;
const SETTLE_MS = 1_000;

/** One attempt at a time, and what those before it may have left in the log. */
export class Attempts {
  /** Absent: nobody helps. */
  readonly #spread: Spread | null;
  #now: Attempt | null = null;
  #paused = false;
  /** The last one to open the log is over, and nobody was to write beside it: nobody else can append any more. */
  #barred = false;
  /** The log may hold what is not committed, or somebody may be writing to it still who helped with one that is over. */
  #unsettled = false;
  /** The log that was written to last; the pipeline may name another one meanwhile. */
  #output: PipelineOutput | null = null;
  /** What those before had under way to the store when they ended. */
  #committing: Promise<unknown> | null = null;

  constructor(
    private readonly engine: EngineDeps,
    private readonly held: Held,
    private readonly mayWrite: () => boolean,
  ) {
    const { spread: ledger, clock } = engine;
    this.#spread = ledger === undefined ? null : new Spread({ ledger, held, clock });
  }

  get now(): Attempt | null {
    return this.#now;
  }

  /** It reads nothing at the moment and could go on at once. */
  get paused(): boolean {
    return this.#paused;
  }

  /** The log may hold what is not committed, or is about to: `bar` settles that. */
  get unsettled(): boolean {
    return this.#unsettled;
  }

  /** What those who help wait for. */
  get alsoBlocked(): { readonly reason: string } | null {
    return this.#spread?.sums.blocked ?? null;
  }

  /** Of everybody who reads the stream. `null`: nothing is known yet. */
  report(counters: Counters, now: number): CounterReport | null {
    const own = counters.report(now, this.#now?.oldestHeld() ?? null);
    return own && (this.#spread?.sums.add(own, counters) ?? own);
  }

  /** @returns whether something may follow from it */
  helped(rows: readonly HelperRow[], askedAt: number): boolean {
    this.#spread?.told(rows, askedAt);
    return this.#spread !== null && this.#now !== null;
  }

  /** Ends one that reads other partitions than it should; the next one reads what it should. */
  async reshare(drainMs: number): Promise<void> {
    if (this.#now && !this.#paused && this.#spread?.isDue(this.#now)) await this.end(drainMs);
  }

  /** Tells those who help what to read. */
  async seat(): Promise<'seated' | 'fenced' | 'unknown'> {
    return this.#now?.opened && this.#spread ? this.#spread.seat(this.#now) : 'seated';
  }

  begin(make: (share: Share) => Attempt): void {
    this.#paused = false;
    this.#now = make(this.#spread?.begin() ?? WHOLE);
  }

  resume(): void {
    if (this.#paused) this.#now?.resume();
    this.#paused = false;
  }

  /** Keeps what reads, if that can be; else ends it. Those who help are barred when the log is opened anew. */
  async pause(withinMs: number): Promise<void> {
    if (!this.#now?.reads || this.#paused) return;
    if (this.#spread?.seated) return this.end(withinMs);
    this.#paused = await this.#now.pause(withinMs);
    if (!this.#paused) await this.end(0);
  }

  async end(drainMs: number): Promise<void> {
    const attempt = this.#now;
    this.#now = null;
    await attempt?.stop(drainMs);
    if (attempt) this.#over(attempt);
  }

  /** One that has ended by itself, once. */
  takeEnded(): Attempt | null {
    const attempt = this.#now;
    if (!attempt?.end) return null;
    this.#now = null;
    this.#over(attempt);
    return attempt;
  }

  /**
   * Nobody can append any more once it says `barred`. What is in the log is committed then, but where nobody else was to
   * write and the log, or the store, does not say. `unknown`: they do not, and somebody may be writing.
   */
  async bar(spec: () => Promise<StreamSpec | null>): Promise<'barred' | 'fenced' | 'unknown'> {
    if (this.#barred && !this.#unsettled) return 'barred';
    const known = await spec();
    if (known === null) return this.#barred ? 'barred' : 'unknown';
    const { engine, held, mayWrite } = this;
    const found = await barPredecessors(
      {
        ...{ engine, held, mayWrite, committing: this.#committing },
        unseat: (session) => this.#spread?.unseat(session) ?? Promise.resolve(true),
      },
      { ...known, output: this.#output ?? known.output },
      this.#barred ? SETTLE_MS : BAR_MS,
    );
    if (found === 'barred') [this.#barred, this.#unsettled] = [true, false];
    return found === 'unknown' && this.#barred ? 'barred' : found;
  }

  #over({ opened, unsettled, output, committing }: Attempt): void {
    const seated = this.#spread?.seated === true;
    this.#paused = false;
    this.#barred = !seated && (this.#barred || opened);
    this.#unsettled = seated || (opened ? unsettled : this.#unsettled);
    if (opened) this.#output = output;
    this.#committing = Promise.allSettled([this.#committing, committing]);
    this.#spread?.over();
  }
}
