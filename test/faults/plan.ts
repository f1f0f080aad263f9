/** Which rounds a run plays. */
import type { Planned } from './battery.js';
import type { Fault } from './fault.js';

/** Rounds of the long form in which a process of the product is killed. */
const LONG_KILLS = 200;
/** Of docs/traps.md: whatever ends by SIGKILL covers it. */
const SIGKILL = 38;

const isKill = ({ traps }: Fault): boolean => traps.includes(SIGKILL);

export interface Wanted {
  readonly seed: number;
  readonly rounds: number;
  /** Kills come round after round until there are enough of them; those over Kafka count. */
  readonly long: boolean;
  /** Rounds that were charged or not judged in an earlier run: they are played again. */
  readonly charged: readonly { readonly fault: string; readonly seed: number }[];
}

export const nameOf = ({ family, name }: Fault): string => `${family}: ${name}`;

export function plan(faults: readonly Fault[], { seed, rounds, long, charged }: Wanted): Planned[] {
  const kills = faults.filter(({ family }) => family === 'kills').length;
  const elsewhere = faults.filter((fault) => fault.family !== 'kills' && isKill(fault)).length;
  const often = Math.max(rounds, Math.ceil((LONG_KILLS - elsewhere * rounds) / Math.max(1, kills)));
  const planned = faults.flatMap((fault) =>
    Array.from({ length: long && fault.family === 'kills' ? often : rounds }, (_, i) => ({ fault, seed: seed + i })),
  );
  for (const one of charged) {
    const fault = faults.find((known) => nameOf(known) === one.fault);
    const isPlanned = planned.some((known) => known.fault === fault && known.seed === one.seed);
    if (fault !== undefined && !isPlanned) planned.push({ fault, seed: one.seed });
  }
  return planned;
}
