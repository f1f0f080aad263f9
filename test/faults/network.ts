/** The network between the product and each of its servers. */
import type { Fault, Injected } from './fault.js';
import type { Random } from './random.js';
import type { Network, Scene } from './scene.js';

type Weather = 'cut' | 'stalled' | 'slow' | 'reset in mid-message' | 'half-open';

const TRAPS: Readonly<Record<keyof Network, readonly number[]>> = { source: [3, 5], redis: [26, 27], store: [32] };

const MAKE: Readonly<Record<Weather, (scene: Scene, to: keyof Network, rng: Random) => Promise<Injected | void>>> = {
  async cut(scene, to, rng) {
    scene.network[to].cut();
    await scene.load.goOn(rng.between(300, 6000));
    scene.network[to].resume();
  },
  async stalled(scene, to, rng) {
    scene.network[to].stall();
    // Shorter and longer than the times after which somebody gives up.
    await scene.load.goOn(rng.pick([1000, 4000, 8000, 14_000]));
    scene.network[to].resume();
  },
  async slow(scene, to, rng) {
    scene.network[to].slow(rng.between(50, 400));
    await scene.load.goOn(rng.between(3000, 6000));
    scene.network[to].resume();
  },
  async 'reset in mid-message'(scene, to, rng) {
    for (let i = rng.between(1, 3); i > 0; i--) {
      scene.network[to].tear();
      await scene.load.goOn(rng.between(100, 1500));
    }
  },
  'half-open'(scene, to) {
    const overAt = Date.now();
    scene.network[to].halfOpen();
    return Promise.resolve({
      overAt,
      after: () => Promise.resolve(scene.network[to].resume()),
    });
  },
};

const weathers = Object.keys(MAKE) as Weather[];

export const network: readonly Fault[] = (['source', 'redis', 'store'] as const).flatMap((to) =>
  weathers.map((weather): Fault => ({
    name: `${to} ${weather}`,
    family: 'network',
    traps: TRAPS[to],
    inject: (scene, rng) => MAKE[weather](scene, to, rng),
  })),
);
