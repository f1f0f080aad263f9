/** Webhooks at two doors, into Redis and into Kafka: what was answered 2xx is in the log once, whatever is killed meanwhile (traps 25a, 26, 29 and 38). */
import type { Proxy } from '@planasonix/testing';
import type { HookFault, Injected } from './fault.js';
import { goesOn } from './hook-round.js';
import type { HookScene } from './hook-scene.js';
import type { KafkaScene } from './kafka-scene.js';
import { weathers, type Weather } from './network.js';
import type { Random } from './random.js';

const FAMILY = 'webhook';
const INTO_KAFKA = 'webhook into kafka';
const SENDERS = 24;

const fault = (name: string, traps: readonly number[], inject: HookFault['inject']): HookFault => ({
  ...{ name, family: FAMILY, traps, senders: SENDERS, inject },
});

function kill(pids: readonly number[]): Injected {
  for (const pid of pids) process.kill(pid, 'SIGKILL');
  return { overAt: Date.now() };
}

const inWeather = (to: keyof HookScene['network'], weather: Weather, traps: readonly number[]): HookFault =>
  fault(`network ${to} ${weather}`, traps, (scene, rng) => weathers[weather](scene, proxyOf(scene, to), rng));

/** As into Redis, with the log in Kafka. */
const intoKafka = (name: string, traps: readonly number[], inject: HookFault['inject']): HookFault => ({
  ...fault(name, traps, inject),
  ...{ family: INTO_KAFKA, kafka: true },
});

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
      await scene.start();
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

/** What of it has nothing to do with where the log is. */
const ANYWHERE: ReadonlySet<string> = new Set([
  ...['one instance', 'all instances', 'all at once', 'one instance frozen and woken'],
  ...['stopped and started while one instance is frozen', 'Redis SIGKILL and start', 'Redis out of memory'],
  ...['store SIGKILL and start', 'network redis cut', 'network redis half-open'],
]);

const broker = (scene: HookScene): KafkaScene['server']['nodes'][number] => scene.kafka!.server.nodes[0]!;

export const webhookIntoKafka: readonly HookFault[] = [
  ...webhook
    .filter(({ name }) => ANYWHERE.has(name))
    .map((known): HookFault => ({ ...known, family: INTO_KAFKA, kafka: true, traps: [...known.traps, 25] })),
  intoKafka('Redis loses all that it has', [25, 26, 29], async ({ redis }) => void (await redis.flushall())),
  intoKafka('broker SIGKILL and start', [25, 29], async (scene, rng) => {
    await broker(scene).kill();
    await scene.load.goOn(rng.between(0, 5_000));
    await broker(scene).start();
  }),
  intoKafka('broker frozen and woken', [25, 29], async (scene, rng) => {
    broker(scene).freeze();
    await scene.load.goOn(rng.between(1_000, 14_000));
    broker(scene).thaw();
  }),
  intoKafka('broker and all instances', [25, 29, 38], async (scene, rng) => {
    await Promise.all([broker(scene).kill(), scene.doors().then((doors) => kill(doors.flat()))]);
    await scene.load.goOn(rng.between(0, 3_000));
    await broker(scene).start();
  }),
  ...(Object.keys(weathers) as Weather[]).map((weather) =>
    intoKafka(`network kafka ${weather}`, [25, 29], (scene, rng) =>
      weathers[weather](scene, scene.kafka!.network[0]!, rng),
    ),
  ),
];
