/** The network between the product and each of its servers. */
import type { Proxy } from '@planasonix/testing';
import type { Fault, Injected } from './fault.js';
import type { Random } from './random.js';
import type { Network } from './servers.js';

export type Weather = 'cut' | 'stalled' | 'slow' | 'reset in mid-message' | 'half-open' | 'half-closed' | 'swallowed';

const TRAPS: Readonly<Record<keyof Network, readonly number[]>> = { source: [3, 5], redis: [26, 27], store: [32] };

/** A scene, as far as a weather needs it. */
interface Loaded {
  readonly load: { goOn(ms: number): Promise<void> };
}

export const weathers: Readonly<
  Record<Weather, (scene: Loaded, proxy: Proxy, rng: Random) => Promise<Injected | void>>
> = {
  async cut(scene, proxy, rng) {
    proxy.cut();
    await scene.load.goOn(rng.between(300, 6000));
    proxy.resume();
  },
  async stalled(scene, proxy, rng) {
    proxy.stall();
    // Shorter and longer than the times after which somebody gives up.
    await scene.load.goOn(rng.pick([1000, 4000, 8000, 14_000]));
    proxy.resume();
  },
  async slow(scene, proxy, rng) {
    proxy.slow(rng.between(50, 400));
    await scene.load.goOn(rng.between(3000, 6000));
    proxy.resume();
  },
  async 'reset in mid-message'(scene, proxy, rng) {
    for (let i = rng.between(1, 3); i > 0; i--) {
      proxy.tear();
      await scene.load.goOn(rng.between(100, 1500));
    }
  },
  'half-open': (_scene, proxy) => unheard(proxy, () => proxy.halfOpen()),
  'half-closed': (_scene, proxy) => unheard(proxy, () => proxy.halfClose()),
  swallowed: (_scene, proxy) => unheard(proxy, () => proxy.swallow()),
};

/** New connections are fine at once; whoever did not hear of the end of the old ones does once the round is over. */
function unheard(proxy: Proxy, end: () => void): Promise<Injected> {
  const overAt = Date.now();
  end();
  return Promise.resolve({ overAt, after: () => Promise.resolve(proxy.resume()) });
}

/** A dead network is noticed within 60 s, and 15 s later the stream goes on. */
export const NETWORK_MS = 75_000;

const names = Object.keys(weathers) as Weather[];

/** Nothing passes for longer than a lease of 9 s lives. */
const PAST_THE_LEASE_MS = 14_000;

export const network: readonly Fault[] = (['source', 'redis', 'store'] as const).flatMap((to) => {
  const common = { family: 'network', traps: TRAPS[to], withinMs: NETWORK_MS };
  return [
    ...names.map((weather): Fault => ({
      ...common,
      name: `${to} ${weather}`,
      inject: (scene, rng) => weathers[weather](scene, scene.network[to], rng),
    })),
    {
      ...common,
      name: `${to} stalled past the lease`,
      async inject(scene): Promise<void> {
        scene.network[to].stall();
        await scene.load.goOn(PAST_THE_LEASE_MS);
        scene.network[to].resume();
      },
    },
  ];
});
