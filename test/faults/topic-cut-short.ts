/** What is done to a stream of topics once in a while, cut short by a kill: setting a position, a delete. */
import type { Step } from '@planasonix/core';
import { eventually } from '@planasonix/testing';
import { deletingCutShort, settingCutShort } from './commands-cut-short.js';
import type { Injected } from './fault.js';
import { goesOn } from './topic-round.js';
import type { TopicScene } from './topic-scene.js';

/** As `settingCutShort` has it. */
export const topicPositionCutShort = async (scene: TopicScene, step: Step): Promise<Injected> => ({
  wrong: await settingCutShort(scene, step, placesIn),
  overAt: Date.now(),
});

/** `orders/0 at 12, …` of a position as the API shows it. */
const placesIn = (position: unknown): string =>
  Object.entries((position ?? {}) as Readonly<Record<string, { readonly offset?: number }>>)
    .map(([name, { offset }]) => `${name} at ${String(offset)}`)
    .sort()
    .join(', ');

/** As `deletingCutShort` has it; its group does not stay, and does not come back (trap 33). */
export async function topicDeleteCutShort(scene: TopicScene, step: Step): Promise<Injected> {
  const id = await scene.another(`other ${step} ${Date.now()}`);
  await eventually('it has a group', () => hasGroup(scene, id), { timeoutMs: 60_000, everyMs: 100 });
  await scene.spread(id);
  const left = async () => ((await hasGroup(scene, id)) ? ['its group is there after the delete'] : []);
  const { overAt, wrong } = await deletingCutShort(scene, step, id, left);
  // Whoever read along may have something left to say.
  await goesOn(scene);
  await scene.load.goOn(2000);
  if (await hasGroup(scene, id)) wrong.push('its group came back after the delete');
  return { overAt, wrong: wrong.map((what) => `${id}: ${what}`) };
}

async function hasGroup({ kafka }: TopicScene, id: string): Promise<boolean> {
  const { groups } = await kafka.admin.listGroups();
  return groups.some(({ groupId }) => groupId === `planasonix-${id}`);
}
