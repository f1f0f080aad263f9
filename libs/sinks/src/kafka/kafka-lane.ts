import { StreamError, type Clock, type Intake, type TakenIn } from '@planasonix/core';
import { InletLine, type Waiting } from '../inlet-line.js';
import { isRefusal, logFailure } from './kafka-cluster.js';
import type { Pen } from './pen.js';
import type { Turn } from './turn.js';

export interface LaneOptions {
  readonly turn: Turn;
  /** Under this epoch. */
  readonly pen: (epoch: number) => Pen;
  readonly clock: Clock;
}

/** How long it waits before it tries again what was not written. */
const AGAIN_MS = 50;
const ASK_MS = 10;
/** How often it is looked whose time is over, whatever is under way. */
const LATE_MS = 100;

/** Deliveries of one stream at one instance, on their way into Kafka: while a group is written, the next one gathers. */
export class KafkaLane {
  readonly #line = new InletLine();
  #isBusy = false;
  readonly #over = new AbortController();
  #flight: readonly Waiting[] = [];
  #pen: Pen | null = null;
  /** Monotonic ms: when it last had something to do. */
  usedAt: number;

  constructor(private readonly options: LaneOptions) {
    this.usedAt = options.clock.monotonic();
  }

  get busy(): boolean {
    return this.#isBusy;
  }

  push(epoch: number, intake: Intake, until: number): Promise<TakenIn> {
    let bytes = 0;
    for (const { data } of intake.parts) bytes += data.length;
    return new Promise((resolve, reject) => {
      if (this.#over.signal.aborted) return reject(closed());
      this.#line.push({ epoch, intake, bytes, until, resolve, reject });
      if (this.#isBusy) return;
      this.#isBusy = true;
      // What else came in this turn of the loop goes with it.
      setImmediate(() => void this.#drain());
    });
  }

  close(): void {
    this.#over.abort();
    const over = closed();
    for (const { reject } of [...this.#flight, ...this.#line.late(Infinity)]) reject(over);
    this.#pen?.close();
    this.#pen = null;
    void this.options.turn.pass().catch(() => undefined);
  }

  async #drain(): Promise<void> {
    const { turn, clock } = this.options;
    const done = new AbortController();
    void this.#tellLate(done.signal);
    while (!this.#line.isEmpty && !this.#over.signal.aborted) {
      try {
        if (!(await turn.take())) {
          await this.#waitFor(ASK_MS, new StreamError('log_unavailable', 'Other instances write to the log just now'));
          continue;
        }
        this.#flight = this.#line.take();
        if (this.#flight.length > 0) await this.#write(this.#flight);
      } catch (error) {
        this.#line.putBack(this.#flight);
        // Another one may have a better way to the cluster.
        void turn.pass().catch(() => undefined);
        await this.#waitFor(AGAIN_MS, logFailure(error));
      } finally {
        this.#flight = [];
      }
    }
    done.abort();
    this.#isBusy = false;
    this.usedAt = clock.monotonic();
    void turn.pass().catch(() => undefined);
  }

  /** @throws StreamError what may be mended by trying again */
  async #write(group: readonly Waiting[]): Promise<void> {
    const written = new AbortController();
    void this.options.turn.keep(written.signal);
    try {
      const taken = await this.#penOf(group[0]!.epoch).write(group.map(({ intake }) => intake));
      group.forEach(({ resolve }, i) => resolve(taken[i]!));
    } catch (error) {
      const failure = logFailure(error);
      if (failure.recourse === 'retry') throw failure;
      // One that the log refuses does not take the others with it.
      if (isRefusal(failure) && group.length > 1) {
        const half = group.length >> 1;
        for (const part of [group.slice(0, half), group.slice(half)]) await this.#write(part);
        return;
      }
      group.forEach(({ reject }) => reject(failure));
    } finally {
      written.abort();
    }
  }

  #penOf(epoch: number): Pen {
    if (this.#over.signal.aborted) throw closed();
    if (this.#pen?.epoch !== epoch) {
      this.#pen?.close();
      this.#pen = this.options.pen(epoch);
    }
    return this.#pen;
  }

  /** What still has time stays; the rest hears why it was not written, as far as is known. */
  async #waitFor(ms: number, why: StreamError): Promise<void> {
    const { clock } = this.options;
    for (const { reject } of this.#line.late(clock.monotonic() + ms)) reject(why);
    if (!this.#line.isEmpty) await clock.sleep(ms, this.#over.signal);
  }

  /** Senders are told in time, also while a broker hangs. What they sent may yet be written: sent again it is a repeat. */
  async #tellLate(done: AbortSignal): Promise<void> {
    const { clock } = this.options;
    while ((await clock.sleep(LATE_MS, done)) && !this.#over.signal.aborted) {
      const now = clock.monotonic();
      const late = [...this.#flight.filter(({ until }) => until <= now), ...this.#line.late(now)];
      for (const { reject } of late) reject(new StreamError('log_unavailable', 'The log took too long'));
    }
  }
}

const closed = (): StreamError => new StreamError('log_unavailable', 'The log was closed');
