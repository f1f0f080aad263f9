/** What is done to a stream of topics once in a while, cut short by a kill: setting a position, a delete. */
import type { Step } from '@planasonix/core';
import { eventually } from '@planasonix/testing';
import type { Injected } from './fault.js';
import { goesOn } from './topic-round.js';
import type { TopicScene } from './topic-scene.js';

/** The stream's own place, set anew: it says that this is pending, does not start, and goes on once it has been set. */
export async function topicPositionCutShort(scene: TopicScene, step: Step): Promise<Injected> {
  const { streamId } = scene;
  const wrong: string[] = [];
  const route = `/api/streams/${streamId}/position`;
  await scene.command('stop');
  const { position } = (await scene.ask('GET', route)).a;
  const ended = scene.arm(step, 1);
  await scene.stack.api('PUT', route, { position }).catch(() => undefined);
  await ended();
  const { pending } = (await scene.ask('GET', route)).a;
  const [is, wanted] = [placesIn(pending?.position), placesIn(position)];
  if (is !== wanted) wrong.push(`pending is ${is} in place of ${wanted}`);
  const refused = await scene.ask('POST', `/api/streams/${streamId}/start`, {});
  if (refused.status !== 409 || refused.json.error.code !== 'position_pending')
    wrong.push(`a start in the middle answers ${refused.status} ${refused.text}`);
  const set = await scene.ask('PUT', route, { position });
  if (set.status !== 200 || set.a.pending !== null) wrong.push(`set once more: ${set.status} ${set.text}`);
  await scene.start();
  return { overAt: Date.now(), wrong };
}

/** `orders/0 at 12, …` of a position as the API shows it. */
const placesIn = (position: Readonly<Record<string, { readonly offset?: number }>> | null | undefined): string =>
  Object.entries(position ?? {})
    .map(([name, { offset }]) => `${name} at ${String(offset)}`)
    .sort()
    .join(', ');

/** It is there and can be deleted again, or it is gone and its log knows when to go; its group does not stay (trap 33). */
export async function topicDeleteCutShort(scene: TopicScene, step: Step): Promise<Injected> {
  const id = await scene.another(`other ${step} ${Date.now()}`);
  await eventually('it has a group', () => hasGroup(scene, id), { timeoutMs: 60_000, everyMs: 100 });
  await scene.spread(id);
  const ended = scene.arm(step, 1);
  await scene.stack.api('DELETE', `/api/streams/${id}`).catch(() => undefined);
  await ended();
  const overAt = Date.now();
  const wrong: string[] = [];
  const look = () => scene.ask('GET', `/api/streams/${id}`);
  if ((await look()).status === 404) {
    const expires = async () => (await scene.log.fate(id)) === 'expires';
    await eventually('its log is to expire', expires, { timeoutMs: 90_000, everyMs: 200 });
  } else {
    // Nothing is taken from the log of a stream that is there.
    if ((await scene.log.fate(id)) !== 'kept') wrong.push('its log is to expire, and it is there');
    // Whoever was deleting it is dead: that bars for a minute, and no longer.
    const answer = await eventually(
      'it may be deleted again',
      async () => {
        const said = await scene.ask('DELETE', `/api/streams/${id}?purge=true`);
        return said.status === 409 && said.json.error.code === 'deleting' ? null : said;
      },
      { timeoutMs: 150_000, everyMs: 500 },
    );
    if (answer.status !== 200) wrong.push(`deleted again it answers ${answer.status} ${answer.text}`);
    const gone = await look();
    if (gone.status !== 404) wrong.push(`after the delete it is ${gone.status} ${gone.text}`);
    if ((await scene.log.fate(id)) === 'kept') wrong.push('its events are there after a delete with purge');
  }
  if (await hasGroup(scene, id)) wrong.push('its group is there after the delete');
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
