/**
 * `npm run soak`: load for as long as is wanted. First random faults; then, for the last half, none, so that every process
 * lives long enough to show whether its memory grows. A line each minute, a picture and the verdict at the end.
 */
import { FAMILIES } from './families.js';
import type { Fault } from './fault.js';
import { readFlags } from './flags.js';
import { Lives, plot, verdictOf } from './memory.js';
import { CHARGES } from './oracle.js';
import { random } from './random.js';
import { isClean, playRound, verdict, type Round } from './round.js';
import { APPS, Scene } from './scene.js';

/** Faults after which everything goes on by itself, in the usual scene and over the same log. */
const fits = ({ scene, told, missing }: Fault): boolean =>
  scene === undefined && told === undefined && (missing?.() ?? null) === null;

/** Of the time, without faults. */
const CALM = 1 / 2;
/** However short the whole is: a life has to be long enough to be judged, ms. */
const LEAST_CALM_MS = 220_000;
const LOOK_EVERY_MS = 2000;
const MINUTE = 60_000;

export async function soak(args: readonly string[], say: (line: string) => void): Promise<number> {
  const flags = readFlags(args, { minutes: 10, seed: 1, only: '', bound: 10 });
  const { minutes, seed, only, bound } = flags;
  const faults = FAMILIES.flat().filter((one) => fits(one) && `${one.family}/${one.name}`.includes(only));
  if (faults.length === 0) throw new Error(`no fault of the soak is named ${only}`);
  const rng = random(seed, 'soak');
  const scene = await Scene.open({ seed, forgetful: true });
  const began = Date.now();
  const calmFrom = began + minutes * MINUTE * (1 - CALM);
  const lives = new Lives();
  const look = (): void => APPS.forEach((app) => lives.look(app, scene.pids(app), Date.now() - began));
  const looking = setInterval(look, LOOK_EVERY_MS);
  const rounds: Round[] = [];
  let next = began + MINUTE;
  const minute = async (): Promise<void> => {
    if (Date.now() < next) return;
    next = began + (Math.floor((Date.now() - began) / MINUTE) + 1) * MINUTE;
    const lag = (await scene.ask('GET', `/api/streams/${scene.streamId}/metrics`)).a.lag_seconds as number;
    const kept = APPS.map((app) => `${app} ${last(lives, app)} MiB`).join(', ');
    const at = Math.round((Date.now() - began) / MINUTE);
    say(`minute ${at}: ${scene.entries} events, lag ${lag.toFixed(1)} s, ${rounds.length} faults; ${kept}`);
  };
  let failure: string | null = null;
  let changes = 0;
  try {
    for (let i = 0; Date.now() < calmFrom && failure === null; i++) {
      const round = await playRound(scene, rng.pick(faults), seed + i);
      rounds.push(round);
      changes += round.findings.changes;
      await scene.trim();
      say(`  ${round.fault} (seed ${round.seed}): recovery ${(round.recoveryMs / 1000).toFixed(2)} s`);
      if (!isClean(round)) failure = charges(round.findings);
      await scene.load.goOn(rng.between(2000, 10_000));
      await minute();
    }
    say(`${rounds.length} faults; from here on none`);
    const end = Math.max(began + minutes * MINUTE, Date.now() + LEAST_CALM_MS);
    while (Date.now() < end && failure === null) {
      await scene.load.goOn(5000);
      await scene.read();
      await scene.trim();
      await minute();
    }
    const findings = failure === null ? await verdict(scene) : null;
    changes += findings?.changes ?? 0;
    if (findings !== null) failure = charges(findings);
  } catch (error) {
    failure = error instanceof Error ? error.message : String(error);
  } finally {
    clearInterval(looking);
    if (failure !== null) say(`the product's log: ${scene.stack.logFile}`);
    await scene.end();
  }
  say(
    `oracle: ${changes} changes checked, ${rounds.length} faults; ${failure ?? 'nothing is lost, phantom, torn, repeated or wrong'}`,
  );
  const flat = memory(lives, Date.now() - began, bound, say);
  return failure === null && flat ? 0 : 1;
}

function charges(findings: Round['findings']): string | null {
  const lines = CHARGES.flatMap((charge) => findings[charge].map((what) => `${charge}: ${what}`));
  return lines.length === 0 ? null : lines.slice(0, 5).join('\n');
}

const last = (lives: Lives, app: string): number =>
  Math.round(lives.all.findLast((life) => life.app === app)?.samples.at(-1)?.mib ?? 0);

/** @returns whether every app was measured and no life of one has grown by more than it may (`memory.ts`) */
function memory(lives: Lives, until: number, bound: number, say: (line: string) => void): boolean {
  for (const app of APPS) say(plot(app, lives.all, until));
  const verdicts = APPS.map((app) => verdictOf(app, lives.all, bound));
  for (const { app, lives: judged, worst, flat } of verdicts) {
    if (worst === null) {
      say(`memory of ${app}: not measured, no process lived long enough`);
      continue;
    }
    const { hours, grownMib, allowedMib } = worst;
    const grew = `${grownMib.toFixed(1)} MiB in ${(hours * 60).toFixed(1)} minutes, ${allowedMib.toFixed(1)} are allowed`;
    const which = judged.length === 1 ? 'its one life' : `the worst of ${judged.length} lives`;
    const least = `less than ${Math.ceil(allowedMib / hours)} MiB an hour it cannot tell from noise`;
    say(`memory of ${app}: ${flat ? 'flat' : 'not flat'}; ${which} grew by ${grew}; ${least}`);
  }
  return verdicts.every(({ flat, worst }) => flat && worst !== null);
}
