/**
 * Plays faults, each in a scene of its wishes, in several scenes at once where that is wanted: most of a round is waiting,
 * for a lease to run out or for somebody to notice. A scene in which something went wrong is not used again.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { AnyFault } from './fault.js';
import { CHARGES } from './oracle.js';
import { isClean, type Round } from './round.js';
import { openStage, wishesOf, type Stage } from './stage.js';

export interface Planned {
  readonly fault: AnyFault;
  readonly seed: number;
}

export interface Outcome extends Planned {
  readonly round: Round | null;
  /** It could not be judged: what happened, the second time too. */
  readonly failure: string | null;
  /** It was played again, for the first time came to no verdict. */
  readonly again: boolean;
}

export const isGood = ({ round }: Outcome): boolean => round !== null && isClean(round);

/** Scenes of these wishes may be there more than once. */
const USUAL = '{}';

/** What is still to be played, by the wishes that it has. */
class Queue {
  readonly #left = new Map<string, Planned[]>();
  readonly #taken = new Set<string>();

  constructor(planned: readonly Planned[]) {
    for (const one of planned) {
      const wishes = wishesOf(one.fault);
      this.#left.set(wishes, [...(this.#left.get(wishes) ?? []), one]);
    }
  }

  /** @param wishes those of the scene that is there: what fits into it comes first */
  next(wishes: string | null): Planned | null {
    if (wishes !== null) {
      const fits = this.#left.get(wishes)?.shift();
      if (fits !== undefined) return fits;
      this.#taken.delete(wishes);
    }
    const free = [...this.#left].filter(([of, { length }]) => length > 0 && !this.#taken.has(of));
    // One at a time is busy with what can't be shared, from the beginning on: the usual ones are left to fill up the end.
    const usual = this.#taken.size > 0;
    const [of, planned] = free.find(([one]) => (one === USUAL) === usual) ?? free[0] ?? [];
    if (of === undefined || planned === undefined) return null;
    if (of !== USUAL) this.#taken.add(of);
    return planned.shift()!;
  }
}

export interface Playing {
  /** Scenes at once. */
  readonly scenes: number;
  readonly say: (line: string) => void;
  readonly done: (outcome: Outcome) => void;
}

export async function playAll(planned: readonly Planned[], { scenes, say, done }: Playing): Promise<void> {
  const queue = new Queue(planned);
  const began = Date.now();
  let played = 0;
  const finished = (outcome: Outcome, ms: number): void => {
    played++;
    const spent = Date.now() - began;
    const left = minutes((spent / played) * (planned.length - played));
    say(`${String(played).padStart(3)}/${planned.length} (${minutes(spent)}, ${left} to go) ${line(outcome, ms)}`);
    done(outcome);
  };
  const lanes = Math.min(scenes, planned.length);
  await Promise.all(Array.from({ length: lanes }, () => new Lane(queue, say).play(finished)));
}

/** The networks of all scenes are in this process: while it stands still, so do they. */
const stoodStill = (ms: number): string =>
  ms < 1000 ? '' : `; the battery itself stood still for ${(ms / 1000).toFixed(1)} s, so the machine is too busy`;

const minutes = (ms: number): string => `${Math.round(ms / 60_000)} min`;

/** One scene after the other. */
class Lane {
  #stage: Stage | null = null;
  #wishes: string | null = null;

  constructor(
    private readonly queue: Queue,
    private readonly say: (line: string) => void,
  ) {}

  async play(finished: (outcome: Outcome, ms: number) => void): Promise<void> {
    try {
      for (let one = this.queue.next(null); one !== null; one = this.queue.next(this.#wishes)) {
        const began = Date.now();
        let outcome = await this.#round(one, false);
        if (outcome.round === null) {
          this.say(`    not judged, and played again: ${line(outcome, Date.now() - began)}`);
          outcome = await this.#round(one, true);
        }
        finished(outcome, Date.now() - began);
      }
    } finally {
      await this.#end();
    }
  }

  async #round({ fault, seed }: Planned, again: boolean): Promise<Outcome> {
    const wishes = wishesOf(fault);
    if (wishes !== this.#wishes) await this.#end();
    this.#wishes = wishes;
    let outcome: Outcome;
    const delay = monitorEventLoopDelay();
    delay.enable();
    try {
      this.#stage ??= await openStage(fault, seed);
      outcome = { fault, seed, round: await this.#stage.play(fault, seed), failure: null, again };
    } catch (error) {
      const failure = (error instanceof Error ? error.message : String(error)) + stoodStill(delay.max / 1e6);
      outcome = { fault, seed, round: null, failure, again };
    } finally {
      delay.disable();
    }
    if (!isGood(outcome)) {
      if (this.#stage !== null) this.say(`    the product's log: ${this.#stage.logFile}`);
      await this.#end();
    } else await this.#stage?.trim().catch(() => this.#end());
    return outcome;
  }

  /** What does not end as it should keeps nobody from the next round. */
  async #end(): Promise<void> {
    const stage = this.#stage;
    this.#stage = null;
    await stage?.end().catch((error: unknown) => this.say(`    a scene did not end: ${String(error)}`));
  }
}

function line({ fault, seed, round, failure }: Outcome, ms: number): string {
  const name = `${fault.family}/${fault.name} (seed ${seed})`;
  const took = `${(ms / 1000).toFixed(1)} s`;
  if (round === null) return `FAILED ${name}: ${failure}; ${took}`;
  const { findings, recoveryMs, told } = round;
  const charges = CHARGES.flatMap((charge) => findings[charge].map((what) => `\n    ${charge}: ${what}`));
  return [
    isClean(round) ? 'ok' : 'WRONG',
    `${name}: ${findings.changes} changes in ${findings.transactions} transactions,`,
    `recovery ${(recoveryMs / 1000).toFixed(2)} s${told === null ? '' : `, told ${told.code} after ${(told.afterMs / 1000).toFixed(2)} s`}`,
    `${findings.excused > 0 ? `, ${findings.excused} excused` : ''}; ${took}`,
    charges.slice(0, 12).join(''),
    charges.length > 12 ? `\n    and ${charges.length - 12} more` : '',
  ].join(' ');
}
