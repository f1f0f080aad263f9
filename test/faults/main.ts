/**
 * `npm run test:faults [-- --seed N] [--rounds N] [--only NAME] [--long]`: the fault battery.
 * `npm run soak [-- --minutes N] [--seed N]`: load with random faults for a long time.
 */
import { playAll, type Outcome, type Planned } from './battery.js';
import { FAMILIES } from './families.js';
import type { Fault } from './fault.js';
import { isClean } from './round.js';
import { readFlags } from './flags.js';
import { writeReport } from './report.js';
import { soak } from './soak.js';

const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** Kills of the long form. */
const LONG_KILLS = 200;

/** In the long form the kills come round after round until there are 200. */
function plan(faults: readonly Fault[], seed: number, rounds: number, long: boolean): Planned[] {
  const planned: Planned[] = [];
  const kills = faults.filter(({ family }) => family === 'kills').length;
  for (const fault of faults) {
    const times = long && fault.family === 'kills' ? Math.ceil(LONG_KILLS / kills) : rounds;
    for (let i = 0; i < times; i++) planned.push({ fault, seed: seed + i });
  }
  return planned;
}

async function battery(args: readonly string[]): Promise<number> {
  const flags = readFlags(args, { seed: 1, rounds: 1, only: '', long: false, report: true });
  const all = FAMILIES.flat();
  const wanted = all.filter(({ family, name }) => `${family}/${name}`.includes(flags.only));
  if (wanted.length === 0) throw new Error(`no fault is named ${flags.only}`);
  const able = wanted.filter((fault) => {
    const why = fault.missing?.() ?? null;
    if (why !== null) say(`left out ${fault.family}/${fault.name}: ${why}`);
    return why === null;
  });
  const planned = plan(able, flags.seed, flags.rounds, flags.long);
  say(`${planned.length} rounds of ${able.length} faults, seeds from ${flags.seed}; again: --seed N --only NAME`);
  const outcomes: Outcome[] = [];
  await playAll(planned, say, (outcome) => {
    outcomes.push(outcome);
    // After each round: a run that is ended early has written what it saw.
    if (flags.report) writeReport(outcomes);
  });
  const bad = outcomes.filter(({ round }) => round === null || !isClean(round));
  say(`${outcomes.length - bad.length} of ${outcomes.length} rounds are as they should be`);
  return bad.length === 0 ? 0 : 1;
}

const main = (args: readonly string[]): Promise<number> =>
  args[0] === 'soak' ? soak(args.slice(1), say) : battery(args);

void main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    say(error instanceof Error ? (error.stack ?? error.message) : String(error));
    process.exit(1);
  },
);
