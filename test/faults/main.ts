/**
 * `npm run test:faults [-- --seed N] [--rounds N] [--only NAME|…] [--long] [--scenes N] [--mysql9] [--report | --no-report]`: the fault battery.
 * `npm run soak [-- --minutes N] [--seed N]`: load with random faults for a long time.
 */
import { isGood, playAll, type Outcome } from './battery.js';
import { ALL_FAULTS } from './families.js';
import { mysql9 } from './mysql.js';
import { named, nameOf, plan } from './plan.js';
import { readFlags } from './flags.js';
import { doubtful, Report } from './report.js';
import { soak } from './soak.js';

const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** Scenes at once in the long form, which takes an hour and a half on two cores. */
const LONG_SCENES = 2;

const quoted = (arg: string): string => (/^[\w./:=-]+$/.test(arg) ? arg : `"${arg.replace(/["\\$`]/g, '\\$&')}"`);

async function battery(args: readonly string[]): Promise<number> {
  const flags = readFlags(args, { seed: 1, rounds: 1, only: '', long: false, scenes: 0, report: false, mysql9: false });
  const all = flags.mysql9 ? [...ALL_FAULTS, ...mysql9] : ALL_FAULTS;
  const wanted = named(all, flags.only.split('|'));
  if (wanted.length === 0) throw new Error(`no fault is named ${flags.only}`);
  const leftOut: string[] = [];
  const able = wanted.filter((fault) => {
    const why = fault.missing?.() ?? null;
    if (why !== null) leftOut.push(`${nameOf(fault)} (${why})`);
    return why === null;
  });
  if (leftOut.length > 0) say(`left out: ${leftOut.join(', ')}`);
  // A few rounds to look at something must not take the place of the many that a row has.
  const writes = !args.includes('--no-report') && (flags.long || flags.report);
  const anew = flags.long && flags.only === '';
  const planned = plan(able, { ...flags, charged: writes ? doubtful() : [] });
  const scenes = flags.scenes > 0 ? flags.scenes : flags.long ? LONG_SCENES : 1;
  say(
    `${planned.length} rounds of ${able.length} faults, seeds from ${flags.seed}; again: --seed N --only "NAME"${flags.mysql9 ? ' --mysql9' : ''}`,
  );
  const command = ['npm run test:faults', ...(args.length > 0 ? ['--'] : []), ...args.map(quoted)].join(' ');
  const faults = [...ALL_FAULTS, ...mysql9].map(nameOf);
  const report = new Report({ command, planned: planned.length, scenes, anew, faults, leftOut });
  const outcomes: Outcome[] = [];
  await playAll(planned, {
    ...{ scenes, say },
    done(outcome) {
      outcomes.push(outcome);
      if (writes) report.write(outcomes);
    },
  });
  const good = outcomes.filter(isGood).length;
  say(`${good} of ${planned.length} rounds are as they should be`);
  return good === planned.length ? 0 : 1;
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
