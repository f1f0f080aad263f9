/** `npm run soak`: load with random faults for as long as is wanted; a line each minute, the verdict at the end. */
import { readFileSync } from 'node:fs';
import { FAMILIES } from './families.js';
import type { Fault } from './fault.js';
import { readFlags } from './flags.js';
import { CHARGES } from './oracle.js';
import { random } from './random.js';
import { isClean, playRound, type Round } from './round.js';
import { APPS, Scene, type App } from './scene.js';

/** Faults after which everything goes on by itself, in the usual scene and over the same log. */
const fits = ({ scene, told, missing }: Fault): boolean =>
  scene === undefined && told === undefined && (missing?.() ?? null) === null;

/** Memory is flat where the median of the last third is at most this much of that of the second third. */
const FLAT = 1.2;
/** What the garbage collector leaves lying now and then, MiB. */
const NOISE_MIB = 25;

type Memory = Readonly<Record<App, number>>;

function memory(scene: Scene): Memory {
  const of = (app: App): number =>
    scene.pids(app).reduce((sum, pid) => sum + residentKib(pid), 0) / 1024 / Math.max(1, scene.pids(app).length);
  return Object.fromEntries(APPS.map((app) => [app, Math.round(of(app))])) as Record<App, number>;
}

function residentKib(pid: number): number {
  try {
    return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

const median = (of: readonly number[]): number => [...of].sort((a, b) => a - b)[of.length >> 1] ?? 0;

/** Lines of a minute each below which nothing is said of memory. */
const LEAST_SAMPLES = 6;

/** The first third is for caches and compilers to fill up. */
export function isFlat(samples: readonly number[]): boolean {
  const third = Math.floor(samples.length / 3);
  const [middle, last] = [samples.slice(third, 2 * third), samples.slice(-third)];
  return third === 0 || median(last) <= Math.max(median(middle) * FLAT, median(middle) + NOISE_MIB);
}

export async function soak(args: readonly string[], say: (line: string) => void): Promise<number> {
  const { minutes, seed, only } = readFlags(args, { minutes: 10, seed: 1, only: '' });
  const faults = FAMILIES.flat().filter((one) => fits(one) && `${one.family}/${one.name}`.includes(only));
  if (faults.length === 0) throw new Error(`no fault of the soak is named ${only}`);
  const rng = random(seed, 'soak');
  const scene = await Scene.open({ seed, forgetful: true });
  const samples: Memory[] = [];
  const rounds: Round[] = [];
  const began = Date.now();
  const over = began + minutes * 60_000;
  const minute = async (): Promise<void> => {
    const events = scene.entries;
    const lag = (await scene.ask('GET', `/api/streams/${scene.streamId}/metrics`)).a.lag_seconds as number;
    const now = memory(scene);
    samples.push(now);
    const at = Math.round((Date.now() - began) / 60_000);
    const kept = APPS.map((app) => `${app} ${now[app]} MiB`).join(', ');
    say(`minute ${at}: ${events} events, lag ${lag.toFixed(1)} s, ${rounds.length} faults; ${kept}`);
  };
  let failure: string | null = null;
  try {
    let next = began + 60_000;
    for (let i = 0; Date.now() < over && failure === null; i++) {
      const fault = rng.pick(faults);
      const round = await playRound(scene, fault, seed + i);
      rounds.push(round);
      await scene.trim();
      say(`  ${round.fault} (seed ${round.seed}): recovery ${(round.recoveryMs / 1000).toFixed(2)} s`);
      if (!isClean(round))
        failure = CHARGES.flatMap((charge) => round.findings[charge])
          .slice(0, 5)
          .join('\n');
      // Most of the time nothing is broken: a system that leaks has the time to show it.
      await scene.load.goOn(rng.between(2000, 10_000));
      for (; Date.now() >= next; next += 60_000) await minute();
    }
  } catch (error) {
    failure = error instanceof Error ? error.message : String(error);
  } finally {
    if (failure !== null) say(`the product's log: ${scene.stack.logFile}`);
    await scene.end();
  }
  const grown = APPS.filter((app) => !isFlat(samples.map((one) => one[app])));
  const measured = samples.length >= LEAST_SAMPLES;
  const changes = rounds.reduce((sum, { findings }) => sum + findings.changes, 0);
  say(
    `oracle: ${changes} changes checked in ${rounds.length} faults; ${failure ?? 'nothing lost, phantom, torn, repeated or wrong'}`,
  );
  say(
    `memory: ${!measured ? `not measured in ${samples.length} minutes, ${LEAST_SAMPLES} at least` : grown.length === 0 ? 'flat' : `not flat: ${grown.join(', ')}`}`,
  );
  return failure === null && grown.length === 0 ? 0 : 1;
}
