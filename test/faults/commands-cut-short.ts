/** Commands that are cut short by a kill, in every world with a source: setting a position, a delete. */
import type { Step } from '@planasonix/core';
import { eventually } from '@planasonix/testing';
import type { Steered } from './at-steps.js';

/**
 * The stream's own place, set anew: it says that this is pending, does not start, and goes on once it has been set.
 * @param placeOf what is compared of a position @returns what is wrong
 */
export async function settingCutShort(
  scene: Steered,
  step: Step,
  placeOf: (position: unknown) => string,
): Promise<string[]> {
  const wrong: string[] = [];
  const route = `/api/streams/${scene.streamId}/position`;
  await scene.command('stop');
  const { position } = (await scene.ask('GET', route)).a;
  const ended = scene.arm(step, 1);
  await scene.stack.api('PUT', route, { position }).catch(() => undefined);
  await ended();
  const { pending } = (await scene.ask('GET', route)).a;
  const [is, wanted] = [placeOf(pending?.position), placeOf(position)];
  if (is !== wanted) wrong.push(`pending is ${is} in place of ${wanted}`);
  const refused = await scene.ask('POST', `/api/streams/${scene.streamId}/start`, {});
  if (refused.status !== 409 || refused.json.error.code !== 'position_pending')
    wrong.push(`a start in the middle answers ${refused.status} ${refused.text}`);
  const set = await scene.ask('PUT', route, { position });
  if (set.status !== 200 || set.a.pending !== null) wrong.push(`set once more: ${set.status} ${set.text}`);
  await scene.start();
  return wrong;
}

/**
 * A stream that is deleted, which is cut short: it is there and can be deleted again, or it is gone and its log knows when to go.
 * @param left what stays of it and should not, where it is gone @returns when the kill was over, ms, and what is wrong
 */
export async function deletingCutShort(
  scene: Steered,
  step: Step,
  id: string,
  left: () => Promise<readonly string[]>,
): Promise<{ readonly overAt: number; readonly wrong: string[] }> {
  const ended = scene.arm(step, 1);
  await scene.stack.api('DELETE', `/api/streams/${id}`).catch(() => undefined);
  await ended();
  const overAt = Date.now();
  const wrong: string[] = [];
  const look = () => scene.ask('GET', `/api/streams/${id}`);
  if ((await look()).status === 404) {
    wrong.push(...(await left()));
    const expires = async () => (await scene.log.fate(id)) === 'expires';
    await eventually('its log is to expire', expires, { timeoutMs: 90_000, everyMs: 200 });
    return { overAt, wrong };
  }
  // Nothing is taken from the log of a stream that is there.
  if ((await scene.log.fate(id)) !== 'kept') wrong.push('its log is to expire, and it is there');
  // Whoever was deleting it is dead: that bars for a minute, and no longer; one more where the next one fails, too.
  const answer = await eventually(
    'it may be deleted again',
    async () => {
      const said = await scene.ask('DELETE', `/api/streams/${id}?purge=true`);
      return said.status === 409 && said.json.error.code === 'deleting' ? null : said;
    },
    { timeoutMs: 150_000, everyMs: 500 },
  );
  if (answer.status !== 200) wrong.push(`deleted again it answers ${answer.status} ${answer.text}`);
  wrong.push(...(await left()));
  const gone = await look();
  if (gone.status !== 404) wrong.push(`after the delete it is ${gone.status} ${gone.text}`);
  if (!scene.log.purged.includes(await scene.log.fate(id)))
    wrong.push('its events are there after a delete with purge');
  return { overAt, wrong };
}
