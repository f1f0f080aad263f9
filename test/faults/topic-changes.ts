/** What becomes of topics under a stream: more partitions, another topic of the same name, records that are gone (trap 24). */
import type { TopicFault } from './fault.js';
import type { Random } from './random.js';
import type { TopicPlace } from './topic-records.js';
import type { TopicScene } from './topic-scene.js';

/** @param fault makes one of the family */
export const topicChanges = (
  fault: (name: string, traps: readonly number[], inject: TopicFault['inject']) => TopicFault,
): readonly TopicFault[] => [
  fault('partitions added', [24], async ({ topics, load }, rng) => {
    await load.pause();
    await topics.addPartition(rng.pick(topics.places).topic);
    load.resume();
  }),
  {
    ...fault('topic deleted and made again', [24], madeAgain),
    told: { codes: ['topic_recreated'], must: true },
  },
  {
    ...fault('retention overtakes a stopped stream', [24], async (scene, rng) => {
      await scene.command('stop');
      await retention(scene, rng);
    }),
    told: { codes: ['offset_out_of_range'], must: true },
  },
  {
    // What they had fetched before is theirs; only what is missing in between has to be told.
    ...fault('retention overtakes frozen workers', [24, 27], async (scene, rng) => {
      const pids = scene.pids();
      for (const pid of pids) process.kill(pid, 'SIGSTOP');
      try {
        await retention(scene, rng);
      } finally {
        for (const pid of pids) process.kill(pid, 'SIGCONT');
      }
    }),
    told: { codes: ['offset_out_of_range'], must: false },
  },
];

/** While it is read, or while nobody reads it: then a worker that looks at its lag finds out. */
async function madeAgain(scene: TopicScene, rng: Random): Promise<void> {
  const { load, topics } = scene;
  if (rng.chance(0.5)) await scene.command('stop');
  await load.pause();
  await topics.makeAnew(rng.pick(topics.places).topic, () => load.goOn(rng.pick([0, 500, 8000])));
  load.resume();
}

/** More is written, and of some partitions some of it is gone. */
async function retention(scene: TopicScene, rng: Random): Promise<void> {
  const { load, topics } = scene;
  const from = await endsOf(scene);
  await load.goOn(rng.between(2000, 5000));
  await load.pause();
  const to = await endsOf(scene);
  const places = topics.places.filter((place) => to(place) > from(place) + 2);
  const first = rng.pick(places);
  for (const place of places)
    if (place === first || rng.chance(0.3)) await topics.retain(place, rng.between(from(place) + 2, to(place)));
  load.resume();
}

async function endsOf({ topics }: TopicScene): Promise<(place: TopicPlace) => number> {
  const names = [...new Set(topics.places.map(({ topic }) => topic))];
  const ends = new Map(await Promise.all(names.map(async (name) => [name, await topics.ends(name)] as const)));
  return ({ topic, partition }) => ends.get(topic)!.get(partition)!;
}
