/** Which rounds a run plays. */
import type { Planned } from './battery.js';
import type { AnyFault } from './fault.js';

/** Rounds of the long form in which a process of the product is killed while Postgres is read. */
const LONG_KILLS = 200;
/** Of these families the long form plays what depends on its seed with so many seeds: one shows one branch only. */
const LONG_SEEDS: Readonly<Record<string, number>> = {
  ...{ network: 3, postgres: 3, redis: 3, store: 3, frozen: 3 },
  ...{ kafka: 2, mysql: 2 },
};
/** And of these each fault: a kill here has no crash points that would say where it strikes. */
const LONG_SEEDS_OF_ALL: Readonly<Record<string, number>> = { webhook: 3, 'webhook into kafka': 3 };
/** How often slow ones come for one of the others. */
const SLOW = 0.5;
/** What went wrong by chance may go well once by chance. */
const AGAIN = 3;
/** Of docs/traps.md: whatever ends by SIGKILL covers it. */
const SIGKILL = 38;

const isKill = ({ traps }: AnyFault): boolean => traps.includes(SIGKILL);
/** It takes the random numbers. */
const draws = (fault: AnyFault): boolean => fault.inject.length > 1;

export interface Wanted {
  readonly seed: number;
  readonly rounds: number;
  /** Kills come round after round until there are enough of them; those of Postgres into Kafka count, and no others. */
  readonly long: boolean;
  /** Rounds that were charged or not judged in an earlier run: they are played again, and not once only. */
  readonly charged: readonly { readonly fault: string; readonly seed: number }[];
}

export const nameOf = ({ family, name }: AnyFault): string => `${family}: ${name}`;

/** Those that have one of these names, as the table says them or as `FAMILY/NAME`; of a name that none has, those with it as a part of theirs. */
export function named<T extends Pick<AnyFault, 'family' | 'name'>>(
  faults: readonly T[],
  names: readonly string[],
): T[] {
  const both = ({ family, name }: T): string[] => [`${family}: ${name}`, `${family}/${name}`];
  const exact = (name: string): T[] => faults.filter((fault) => both(fault).includes(name));
  const parts = (name: string): T[] => faults.filter((fault) => both(fault).some((one) => one.includes(name)));
  const found = new Set(names.flatMap((name) => (exact(name).length > 0 ? exact(name) : parts(name))));
  return faults.filter((fault) => found.has(fault));
}

export function plan(faults: readonly AnyFault[], { seed, rounds, long, charged }: Wanted): Planned[] {
  const kills = faults.filter(({ family }) => family === 'kills');
  const intoKafka = faults.filter((fault) => fault.family === 'kafka' && isKill(fault)).length * rounds;
  const often = (LONG_KILLS - intoKafka) / kills.reduce((sum, { slow }) => sum + (slow === true ? SLOW : 1), 0);
  const times = (fault: AnyFault): number => {
    if (!long) return rounds;
    if (fault.family === 'kills')
      return Math.max(rounds, Math.ceil(Math.ceil(often) * (fault.slow === true ? SLOW : 1)));
    const ofAll = LONG_SEEDS_OF_ALL[fault.family];
    if (ofAll !== undefined) return Math.max(rounds, ofAll);
    const isOften = draws(fault) && !isKill(fault) && fault.slow !== true;
    return Math.max(rounds, isOften ? (LONG_SEEDS[fault.family] ?? 1) : 1);
  };
  const planned = faults.flatMap((fault) =>
    Array.from({ length: times(fault) }, (_, i): Planned => ({ fault, seed: seed + i })),
  );
  for (const one of charged) {
    const fault = faults.find((known) => nameOf(known) === one.fault);
    const often = planned.filter((known) => known.fault === fault && known.seed === one.seed).length;
    if (fault !== undefined)
      planned.push(...Array.from({ length: AGAIN - often }, (): Planned => ({ fault, seed: one.seed })));
  }
  return planned;
}
