/** The log in Kafka: one broker behind a network of its own, and three of which some fail (traps 23 to 25a). */
import { eventually } from '@planasonix/testing';
import type { Fault, Injected } from './fault.js';
import { workerPastItsLease } from './frozen.js';
import type { KafkaScene } from './kafka-scene.js';
import { crashPointFaults, killed } from './kills.js';
import { NETWORK_MS, weathers, type Weather } from './network.js';
import type { Random } from './random.js';
import { APPS, type Scene } from './scene.js';

const FAMILY = 'kafka';
const ONE = { kafkaNodes: 1 } as const;
const THREE = { kafkaNodes: 3 } as const;

const cluster = (scene: Scene): KafkaScene => scene.kafka!;

/** A worker's fault as in its own family, over this log. */
const overKafka = (fault: Fault, scene: Fault['scene'] = ONE): Fault => ({
  ...fault,
  family: FAMILY,
  traps: [...fault.traps, 25],
  scene: { ...fault.scene, ...scene },
});

const inWeather = (weather: Weather): Fault => ({
  name: `network ${weather}`,
  family: FAMILY,
  traps: [25],
  scene: ONE,
  withinMs: NETWORK_MS,
  inject: (scene, rng) => weathers[weather](scene, cluster(scene).network[0]!, rng),
});

const withNode = (
  name: string,
  wishes: Fault['scene'],
  which: (scene: Scene, rng: Random) => Promise<number> | number,
  breakIt: (scene: Scene, node: KafkaScene['server']['nodes'][number], rng: Random) => Promise<Injected | void>,
): Fault => ({
  name,
  family: FAMILY,
  traps: [25],
  scene: wishes,
  async inject(scene, rng) {
    const id = await which(scene, rng);
    const { nodes } = cluster(scene).server;
    return breakIt(scene, nodes.find((node) => node.id === id) ?? nodes[0]!, rng);
  },
});

const leader = (scene: Scene): Promise<number> =>
  eventually('somebody leads', async () => {
    const found = await cluster(scene).leader(cluster(scene).topicOf(scene.streamId));
    return found > 0 ? found : null;
  });

const any = (scene: Scene, rng: Random): number => rng.pick(cluster(scene).server.nodes).id;

/** What is committed while a node is away has to come before it is back. */
async function goesOnWithout(scene: Scene): Promise<readonly string[]> {
  const since = Date.now();
  const came = async (): Promise<boolean> => {
    await scene.read();
    return scene.arrivalAfter(since) !== null;
  };
  return eventually('it goes on with two of three', came, { timeoutMs: 60_000, everyMs: 50 }).then(
    () => [],
    (error: Error) => [error.message],
  );
}

export const kafka: readonly Fault[] = [
  overKafka(killed('worker', ['worker'], [5])),
  overKafka(killed('all at once', APPS, [5, 27, 37])),
  ...crashPointFaults.map((fault) => overKafka(fault)),
  withNode('SIGKILL and start', ONE, any, async (scene, node, rng) => {
    await node.kill();
    await scene.load.goOn(rng.between(0, 5000));
    await node.start();
  }),
  withNode('frozen and woken', ONE, any, async (scene, node, rng) => {
    node.freeze();
    await scene.load.goOn(rng.between(1000, 14_000));
    node.thaw();
  }),
  ...(Object.keys(weathers) as Weather[]).map(inWeather),
  overKafka(workerPastItsLease, ONE),
  withNode('three nodes: leader killed', THREE, leader, async (scene, node) => {
    await node.kill();
    const wrong = await goesOnWithout(scene);
    await node.start();
    return { wrong };
  }),
  withNode('three nodes: leader handed over', THREE, leader, async (scene, node) => {
    await node.shutDown();
    const wrong = await goesOnWithout(scene);
    await node.start();
    return { wrong };
  }),
  withNode('three nodes: leader frozen and woken', THREE, leader, async (scene, node, rng) => {
    node.freeze();
    try {
      await scene.load.goOn(rng.between(2000, 12_000));
    } finally {
      node.thaw();
    }
  }),
  withNode('three nodes: one down, worker killed', THREE, any, async (scene, node) => {
    await node.kill();
    scene.kill('worker');
    const wrong = await goesOnWithout(scene);
    await node.start();
    return { wrong };
  }),
  withNode('three nodes: each restarted in turn', THREE, any, async (scene, _node, rng) => {
    for (const node of cluster(scene).server.nodes) {
      await node.shutDown();
      await scene.load.goOn(rng.between(0, 2000));
      await node.start();
    }
  }),
];
