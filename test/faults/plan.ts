/** Which rounds a run plays. */
import type { Planned } from './battery.js';
import type { AnyFault } from './fault.js';

/** Rounds of the long form in which a process of the product is killed. */
const LONG_KILLS = 200;
/** How often slow ones come for one of the others. */
const SLOW = 0.5;
/** Of docs/traps.md: whatever ends by SIGKILL covers it. */
const SIGKILL = 38;

const isKill = ({ traps }: AnyFault): boolean => traps.includes(SIGKILL);

export interface Wanted {
  readonly seed: number;
  readonly rounds: number;
  /** Kills come round after round until there are enough of them; those over Kafka count. */
  readonly long: boolean;
  /** Rounds that were charged or not judged in an earlier run: they are played again. */
  readonly charged: readonly { readonly fault: string; readonly seed: number }[];
}

export const nameOf = ({ family, name }: AnyFault): string => `${family}: ${name}`;

export function plan(faults: readonly AnyFault[], { seed, rounds, long, charged }: Wanted): Planned[] {
  const kills = faults.filter(({ family }) => family === 'kills');
  const elsewhere = faults.filter((fault) => fault.family !== 'kills' && isKill(fault)).length * rounds;
  const often = (LONG_KILLS - elsewhere) / kills.reduce((sum, { slow }) => sum + (slow === true ? SLOW : 1), 0);
  const times = (fault: AnyFault): number =>
    long && fault.family === 'kills'
      ? Math.max(rounds, Math.ceil(Math.ceil(often) * (fault.slow === true ? SLOW : 1)))
      : rounds;
  const planned = faults.flatMap((fault) =>
    Array.from({ length: times(fault) }, (_, i): Planned => ({ fault, seed: seed + i })),
  );
  for (const one of charged) {
    const fault = faults.find((known) => nameOf(known) === one.fault);
    const isPlanned = planned.some((known) => known.fault === fault && known.seed === one.seed);
    if (fault !== undefined && !isPlanned) planned.push({ fault, seed: one.seed });
  }
  return planned;
}
