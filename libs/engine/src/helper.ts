import { NO_ORDERS, type Held, type HelperReport, type HelperView } from '@planasonix/core';
import { Attempt } from './attempt.js';
import { Counters } from './counters.js';
import type { EngineDeps } from './deps.js';
import type { Failure } from './failure.js';
import { HeldRow } from './held-row.js';

/** So long a share may be without anybody who reads it, before it is given back. */
const CONNECT_MS = 8_000;
/**
 * One that fails may have been barred by the lead, who pauses or has seats changed, and a log does not always say so: it
 * hears what it is to do now within so long, or never will.
 */
const BARRED_MS = 4_000;

export interface HelperDeps {
  readonly engine: EngineDeps;
  readonly streamId: string;
  /** Does its row live, by the monotonic clock? */
  mayWrite(): boolean;
  /** It can't read its share: somebody else should. */
  onFailed(why: Failure['code']): void;
}

type Seated = NonNullable<HelperView['seated']>;

/**
 * Reads a share of a stream that another worker leads, and writes it beside him. It decides nothing: a seat is good for
 * one attempt, and when that fails, whatever it was, it is given back and the lead reads the share himself.
 */
export class Helper {
  #session: string | null = null;
  #counters: Counters | null = null;
  #attempt: Attempt | null = null;
  readonly #over = new AbortController();
  /** One change after another. */
  #turn: Promise<void> = Promise.resolve();

  constructor(private readonly deps: HelperDeps) {}

  /** What its row says now. */
  apply({ epoch, seated }: HelperView): void {
    if (this.#over.signal.aborted || (seated?.session ?? null) === this.#session) return;
    this.#session = seated?.session ?? null;
    this.#turn = this.#turn.then(() => this.#change(epoch, seated)).catch((error: unknown) => this.#fail(error));
  }

  /** `null`: it has no seat. */
  report(now: number): HelperReport | null {
    const [session, attempt, counters] = [this.#session, this.#attempt, this.#counters];
    if (session === null || attempt === null || counters === null) return null;
    const report = counters.report(now, attempt.oldestHeld());
    const { events, bytes } = counters.appended;
    return {
      session,
      counters: report && { ...report, total_events: events, total_bytes: bytes },
      blocked: attempt.blocked,
    };
  }

  /** What was read lands within the time; then it reads and writes nothing more. */
  async end(withinMs: number): Promise<void> {
    this.#over.abort();
    const attempt = this.#attempt;
    this.#attempt = null;
    await attempt?.stop(withinMs);
  }

  async #change(epoch: number, seated: Seated | null): Promise<void> {
    const before = this.#attempt;
    this.#attempt = null;
    // Whoever gives another seat has barred this one in the log.
    await before?.stop(0);
    if (seated === null || this.#session !== seated.session) return;
    const { engine, streamId } = this.deps;
    const spec = await engine.ledger.spec(streamId);
    if (this.#over.signal.aborted || spec?.epoch !== epoch) return;
    const { share, session } = seated;
    const seat = { index: share.index, session };
    const held: Held = { streamId, epoch, seat };
    const mayWrite = (): boolean => this.deps.mayWrite();
    const counters = (this.#counters = new Counters(streamId, spec.sourceType, epoch));
    const row = new HeldRow(engine, held, mayWrite);
    const attempt: Attempt = (this.#attempt = new Attempt({
      ...{ engine, spec, held, counters, share, seat, mayWrite, reads: true, preflight: false },
      extras: { ...row.extras({ ...spec, onLostPosition: null }, counters), orders: NO_ORDERS },
      onChange: () => this.#look(attempt),
      onSettled: () => undefined,
      onGivenUp: () => undefined,
    }));
    this.#later(CONNECT_MS, attempt, () => {
      if (!attempt.connected) this.deps.onFailed('source_unreachable');
    });
  }

  /** Unless it is another attempt's turn by then. */
  #later(ms: number, attempt: Attempt, act: () => void): void {
    void this.deps.engine.clock.sleep(ms, this.#over.signal).then((slept) => {
      if (slept && this.#attempt === attempt) act();
    });
  }

  #look(attempt: Attempt): void {
    if (this.#attempt !== attempt || attempt.end?.kind !== 'failed') return;
    const { code } = attempt.end.failure;
    this.#later(BARRED_MS, attempt, () => this.deps.onFailed(code));
  }

  #fail(error: unknown): void {
    const { engine, streamId } = this.deps;
    engine.log.warn({ streamId, err: error }, 'a share of a stream could not be taken up');
    if (!this.#over.signal.aborted) this.deps.onFailed('internal');
  }
}
