/** Topics as the source, read by two workers, into a log in Redis and into one in Kafka (traps 23 to 25a). */
import type { Step } from '@planasonix/core';
import type { KafkaNode } from '@planasonix/testing';
import { atStart, inTheGateway, onThePath } from './at-steps.js';
import type { Injected, TopicFault } from './fault.js';
import { ownerPastItsLease } from './leases.js';
import { NETWORK_MS, weathers, type Weather } from './network.js';
import type { Random } from './random.js';
import { topicDeleteCutShort, topicPositionCutShort } from './topic-cut-short.js';
import { topicChanges } from './topic-changes.js';
import { goesOn } from './topic-round.js';
import type { TopicScene } from './topic-scene.js';

type Inject = TopicFault['inject'];

const fault = (name: string, traps: readonly number[], inject: Inject, nodes: 1 | 3 = 1): TopicFault => ({
  ...{ name, family: 'kafka-source', traps, topics: { nodes, log: 'redis' }, inject },
});

function kill(pids: readonly number[]): Injected {
  for (const pid of pids) process.kill(pid, 'SIGKILL');
  return { overAt: Date.now() };
}

/** 15 s until what a dead worker read is read elsewhere, and some for the first record of each partition to be durable. */
const OF_THE_DEAD = { withinMs: 20_000 };
const lead: TopicFault = {
  ...fault('lead killed', [23, 38], async (scene) => kill([(await scene.spread()).lead])),
  ...OF_THE_DEAD,
};
const helper: TopicFault = {
  ...fault('helper killed', [23, 38], async (scene) => kill([(await scene.spread()).helper])),
  ...OF_THE_DEAD,
};
const workers: TopicFault = {
  ...fault('both workers killed', [23, 38], (scene) => Promise.resolve(kill(scene.pids()))),
  ...OF_THE_DEAD,
};
const allAtOnce = fault('all at once', [23, 27, 37, 38], ({ stack }) =>
  Promise.resolve(kill(['kafka-ingest', 'api-gateway', 'metrics-aggregator'].flatMap((app) => stack.pids(app)))),
);

const at = (step: Step, traps: readonly number[], inject: Inject): TopicFault =>
  fault(`at ${step}`, [38, ...traps], inject);

const ON_THE_PATH = (['log-appended', 'position-committed', 'acknowledged'] as const).map((step) =>
  at(step, [23, 24], onThePath(step)),
);

/** The others of `STEPS` are on the way of rows, slots and budgets. */
const elsewhere: readonly TopicFault[] = [
  ...(['outbox-written', 'outbox-relayed'] as const).map((step) => at(step, [27], inTheGateway(step))),
  at('lease-claimed', [32], atStart('lease-claimed')),
  ...(['position-begun', 'position-placed'] as const).map((step) =>
    at(step, [24, 32], (scene) => topicPositionCutShort(scene, step)),
  ),
  ...(['delete-released', 'delete-removed'] as const).map((step) =>
    at(step, [33], (scene) => topicDeleteCutShort(scene, step)),
  ),
];

const leadFrozen = fault('lead past its lease, then woken', [8, 23, 27, 32], async (scene, rng) => {
  await scene.spread();
  return ownerPastItsLease(scene, rng);
});

/** Its share is read by others then, and what it has in hand must not land. */
const helperFrozen = fault('helper past its lease, then woken', [23, 27, 32], async (scene, rng) => {
  const pid = (await scene.spread()).helper;
  const overAt = Date.now();
  process.kill(pid, 'SIGSTOP');
  try {
    await goesOn(scene, overAt);
    await scene.load.goOn(rng.between(200, 3000));
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  // What it had in hand it would write within moments of waking.
  await scene.load.goOn(2000);
  return { overAt };
});

const node = ({ kafka }: TopicScene): KafkaNode => kafka.server.nodes[0]!;

const brokerKilled = fault('broker SIGKILL and start', [24], async (scene, rng) => {
  await node(scene).kill();
  await scene.load.goOn(rng.between(0, 5000));
  await node(scene).start();
});

const brokerFrozen = fault('broker frozen and woken', [24], (scene, rng) => whileFrozen(scene, node(scene), rng));

async function whileFrozen(scene: TopicScene, one: KafkaNode, rng: Random): Promise<void> {
  one.freeze();
  try {
    // Shorter and longer than the times after which somebody gives up.
    await scene.load.goOn(rng.between(1000, 14_000));
  } finally {
    one.thaw();
  }
}

const inWeather = (weather: Weather): TopicFault => ({
  ...fault(`network ${weather}`, [24], (scene, rng) => weathers[weather](scene, scene.kafka.network[0]!, rng)),
  withinMs: NETWORK_MS,
});

/** Of three, of which the one that leads a partition fails. */
const ofThree = (
  name: string,
  traps: readonly number[],
  inject: (scene: TopicScene, leader: KafkaNode, rng: Random) => Promise<Injected | void>,
): TopicFault =>
  fault(`three nodes: ${name}`, [24, ...traps], async (scene, rng) => inject(scene, await leaderIn(scene), rng), 3);

async function leaderIn({ topics, kafka }: TopicScene): Promise<KafkaNode> {
  const [place] = topics.places;
  const id = await kafka.leader(place!.topic, place!.partition);
  const { nodes } = kafka.server;
  return nodes.find((one) => one.id === id) ?? nodes[0]!;
}

/** Every partition goes on before it is back. */
async function whileAway(scene: TopicScene, one: KafkaNode): Promise<Injected> {
  const wrong: string[] = [];
  await goesOn(scene, Date.now(), 60_000).catch(({ message }: Error) => wrong.push(`with two of three: ${message}`));
  await one.start();
  return { wrong };
}

const leaderKilled = ofThree('leader killed', [], async (scene, leader) => {
  await leader.kill();
  return whileAway(scene, leader);
});

const rolling = ofThree('each restarted in turn', [], async (scene, _leader, rng) => {
  for (const one of scene.kafka.server.nodes) {
    await one.shutDown();
    await scene.load.goOn(rng.between(0, 2000));
    await one.start();
  }
});

const threeNodes: readonly TopicFault[] = [
  leaderKilled,
  ofThree('leader handed over', [], async (scene, leader) => {
    await leader.shutDown();
    return whileAway(scene, leader);
  }),
  ofThree('leader frozen and woken', [], whileFrozen),
  ofThree('one down, lead killed', [23, 38], async (scene, leader) => {
    const { lead: pid } = await scene.spread();
    await leader.kill();
    kill([pid]);
    return whileAway(scene, leader);
  }),
  rolling,
];

export const kafkaSource: readonly TopicFault[] = [
  ...[lead, helper, workers, allAtOnce],
  ...[...ON_THE_PATH, ...elsewhere],
  ...[leadFrozen, helperFrozen],
  ...[brokerKilled, brokerFrozen],
  fault('broker and both workers killed', [24, 38], async (scene, rng) => {
    kill(scene.pids());
    await node(scene).kill();
    await scene.load.goOn(rng.between(0, 3000));
    await node(scene).start();
  }),
  ...(Object.keys(weathers) as Weather[]).map(inWeather),
  fault('Redis SIGKILL and start', [26], async ({ redisServer, load }, rng) => {
    await redisServer.kill();
    await load.goOn(rng.between(0, 5000));
    await redisServer.start();
  }),
  fault('store SIGKILL and start', [27, 32], async ({ store, load }, rng) => {
    await store.kill();
    await load.goOn(rng.between(0, 5000));
    await store.start();
  }),
  ...topicChanges(fault),
  ...threeNodes,
];

/** The same over a log in the same cluster: offsets, position and events of both are at stake at once. */
const over = ({ topics, traps, ...one }: TopicFault): TopicFault => ({
  ...one,
  family: 'kafka-source into kafka',
  traps: [...traps, 25],
  topics: { ...topics, log: 'kafka' },
});

export const intoKafka: readonly TopicFault[] = [
  ...[lead, workers, ...ON_THE_PATH, leadFrozen, helperFrozen, brokerKilled, brokerFrozen],
  ...(['cut', 'stalled', 'half-open'] as const).map(inWeather),
  ...[leaderKilled, rolling],
].map(over);
