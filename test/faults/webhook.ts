/** Webhooks at two doors: what was answered 2xx is in the log once, whatever is killed meanwhile (traps 26, 29 and 38). */
import type { Proxy } from '@planasonix/testing';
import type { HookFault, Injected } from './fault.js';
import { goesOn } from './hook-round.js';
import type { HookScene } from './hook-scene.js';
import { weathers, type Weather } from './network.js';
import type { Random } from './random.js';

const FAMILY = 'webhook';
const SENDERS = 6;

const fault = (name: string, traps: readonly number[], inject: HookFault['inject']): HookFault => ({
  ...{ name, family: FAMILY, traps, senders: SENDERS, inject },
});

function kill(pids: readonly number[]): Injected {
  for (const pid of pids) process.kill(pid, 'SIGKILL');
  return { overAt: Date.now() };
}

const inWeather = (to: keyof HookScene['network'], weather: Weather, traps: readonly number[]): HookFault =>
  fault(`network ${to} ${weather}`, traps, (scene, rng) => weathers[weather](scene, proxyOf(scene, to), rng));

const proxyOf = (scene: HookScene, to: keyof HookScene['network']): Proxy => scene.network[to];

/** Everything that one instance has in hand waits with it. */
async function whileOneIsFrozen(scene: HookScene, rng: Random, meanwhile: () => Promise<void>): Promise<void> {
  const pids = rng.pick(await scene.doors());
  for (const pid of pids) process.kill(pid, 'SIGSTOP');
  try {
    await meanwhile();
  } finally {
    for (const pid of pids) process.kill(pid, 'SIGCONT');
  }
}

export const webhook: readonly HookFault[] = [
  fault('one instance', [29, 38], async (scene, rng) => kill(rng.pick(await scene.doors()))),
  fault('all instances', [29, 38], async (scene) => kill((await scene.doors()).flat())),
  fault('all at once', [29, 37, 38], async (scene) => {
    const doors = (await scene.doors()).flat();
    return kill([...doors, ...scene.stack.pids('api-gateway'), ...scene.stack.pids('metrics-aggregator')]);
  }),
  fault('one instance frozen and woken', [27, 29], (scene, rng) =>
    whileOneIsFrozen(scene, rng, () => scene.load.goOn(rng.between(1_000, 12_000))),
  ),
  fault('stopped and started while one instance is frozen', [27, 32], (scene, rng) =>
    whileOneIsFrozen(scene, rng, async () => {
      await scene.command('stop');
      await scene.command('start');
      await goesOn(scene);
    }),
  ),
  fault('Redis SIGKILL and start', [26, 29], async ({ redisServer, load }, rng) => {
    await redisServer.kill();
    await load.goOn(rng.between(0, 5_000));
    await redisServer.start();
  }),
  fault('Redis and all instances', [26, 29, 38], async (scene, rng) => {
    await Promise.all([scene.redisServer.kill(), scene.doors().then((doors) => kill(doors.flat()))]);
    await scene.load.goOn(rng.between(0, 3_000));
    await scene.redisServer.start();
  }),
  fault('Redis out of memory', [26, 29], async ({ redis, load }, rng) => {
    await redis.config('SET', 'maxmemory', '1');
    await load.goOn(rng.between(1_000, 6_000));
    await redis.config('SET', 'maxmemory', '0');
  }),
  // The store is not on the way of a delivery.
  fault('store SIGKILL and start', [29, 32], async (scene, rng) => {
    await scene.store.kill();
    await goesOn(scene);
    await scene.load.goOn(rng.between(0, 5_000));
    await scene.store.start();
  }),
  ...(Object.keys(weathers) as Weather[]).map((weather) => inWeather('redis', weather, [26, 29])),
  ...(['cut', 'stalled', 'half-open'] as const).map((weather) => inWeather('store', weather, [29, 32])),
];
