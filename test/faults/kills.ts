/** SIGKILL: of each app, of all, at every step of the path and at random moments (trap 38). */
import { STEPS, type Step } from '@planasonix/core';
import { eventually } from '@planasonix/testing';
import { atStart, inTheGateway, onThePath } from './at-steps.js';
import { deleteCutShort, lettingGoCutShort, orderCutShort, positionCutShort } from './cut-short.js';
import type { Fault, Injected } from './fault.js';
import { otherStream } from './other-stream.js';
import type { Random } from './random.js';
import { APPS, type App, type Scene } from './scene.js';

const FAMILY = 'kills';

const back = (scene: Scene, app: App) =>
  eventually(`${app} runs again`, () => scene.pids(app).length > 0, { timeoutMs: 60_000 });

export const killed = (name: string, apps: readonly App[], traps: readonly number[]): Fault => ({
  name,
  family: FAMILY,
  traps: [38, ...traps],
  async inject(scene) {
    for (const app of apps) await back(scene, app);
    for (const app of apps) scene.kill(app);
    return { overAt: Date.now() };
  },
});

const at = (
  step: Step,
  traps: readonly number[],
  inject: (scene: Scene, rng: Random) => Promise<Injected | void>,
): Fault => ({ name: `at ${step}`, family: FAMILY, traps: [38, ...traps], inject });

/** While a stream is made that reads its rows first; beside it the first one goes on. */
const whileMade = (step: Step): Fault => at(step, [10, 12, 33], (scene) => otherStream(scene, step, 1));

/**
 * While rows of a new stream are read, several chunks of them at once, and change.
 * @param most so often it is reached in any case; `few`: where there is no table of many chunks
 */
const amongRows = (step: Step, most: number, few: number): Fault => ({
  name: `at ${step}`,
  family: FAMILY,
  traps: [38, 10, 12, 13, 33],
  slow: true,
  inject: (scene, rng) => otherStream(scene, step, rng.between(1, scene.options.hasty === true ? few : most), rng),
});

/** The same while they are read again because somebody ordered it: all of it beside the stream. */
const amongOrdered = (step: Step, most: number): Fault => ({
  name: `at ${step} of an order`,
  family: FAMILY,
  traps: [38, 13],
  slow: true,
  inject: (scene, rng) => orderCutShort(scene, step, rng, rng.between(1, most)),
});

const cutShort = (
  step: Step,
  traps: readonly number[],
  inject: (scene: Scene, step: Step, rng: Random) => Promise<Injected>,
): Fault => at(step, traps, (scene, rng) => inject(scene, step, rng));

const AT: Readonly<Record<Step, (step: Step) => Fault>> = {
  'outbox-written': (step) => at(step, [27], inTheGateway(step)),
  'outbox-relayed': (step) => at(step, [27], inTheGateway(step)),
  'lease-claimed': (step) => at(step, [10, 32], atStart(step)),
  'publication-created': whileMade,
  'slot-created': whileMade,
  'snapshot-chunk': (step) => amongRows(step, 80, 5),
  'snapshot-recorded': (step) => amongRows(step, 15, 3),
  'log-appended': (step) => at(step, [4, 5], onThePath(step)),
  'position-committed': (step) => at(step, [4, 5], onThePath(step)),
  acknowledged: (step) => at(step, [4, 5], onThePath(step)),
  'order-done': (step) => ({ ...cutShort(step, [13], orderCutShort), slow: true }),
  condemned: (step) => ({ ...cutShort(step, [8, 9], lettingGoCutShort), slow: true }),
  'let-go': (step) => ({ ...cutShort(step, [8, 9], lettingGoCutShort), slow: true }),
  'position-begun': (step) => cutShort(step, [5, 32], positionCutShort),
  'position-placed': (step) => cutShort(step, [5, 32], positionCutShort),
  'delete-released': (step) => ({ ...cutShort(step, [33], deleteCutShort), slow: true }),
  'delete-removed': (step) => ({ ...cutShort(step, [33], deleteCutShort), slow: true }),
};

export const crashPointFaults: readonly Fault[] = STEPS.map((step) => AT[step](step));

export const kills: readonly Fault[] = [
  killed('worker', ['worker'], [5]),
  killed('gateway', ['api-gateway'], [27]),
  killed('aggregator', ['metrics-aggregator'], [37]),
  killed('all at once', APPS, [5, 27, 37]),
  ...crashPointFaults,
  amongOrdered('snapshot-chunk', 80),
  amongOrdered('snapshot-recorded', 15),
];
