/** A second stream, made while the first one runs, and killed while it is made. */
import { eventually } from '@planasonix/testing';
import { fold, repeatedIds } from '../log.js';
import { makeStream } from '../shop.js';
import type { Injected } from './fault.js';
import { comparison } from './oracle.js';
import type { Scene } from './scene.js';
import { TABLES, tableRows } from './tables.js';

export const makeOther = (scene: Scene, step: string): Promise<string> =>
  makeStream(scene.stack, {
    name: `other ${step} ${Date.now()}`,
    connectionId: scene.connectionId,
    pipelineId: scene.pipelineId,
    config: { tables: ['public.*'], heartbeat_interval: '2s' },
  });

export async function otherStream(scene: Scene, step: string, count: number): Promise<Injected> {
  const id = await makeOther(scene, step);
  const ended = scene.arm(step, count);
  await scene.start(undefined, id);
  await ended();
  const overAt = Date.now();
  await scene.running(id);
  await scene.snapshotDone(id);
  const wrong = await equalsTables(scene, id);
  await deleted(scene, id, wrong);
  return { overAt, wrong: wrong.map((what) => `the other stream: ${what}`) };
}

/** Its log, folded, is the tables; its ids are unique. */
export async function equalsTables(scene: Scene, id: string): Promise<string[]> {
  await scene.load.pause();
  const [, n] = (await scene.load.sentinel()).split(':').map(Number);
  const events = await eventually(
    'the last transaction is in the other log',
    async () => {
      const found = await scene.log.all(id);
      const isLast = found.some(
        ({ subject, data }) =>
          subject === TABLES.marker.subject && data.after?.['writer'] === 0 && data.after['n'] === n,
      );
      return isLast ? found : null;
    },
    { timeoutMs: 60_000, everyMs: 200 },
  );
  const source = await scene.admin();
  const rows = await tableRows(source);
  await source.end();
  scene.load.resume();
  const repeated = repeatedIds(events);
  return [...comparison(fold(events), rows), ...(repeated > 0 ? [`${repeated} ids are there twice`] : [])];
}

/** It leaves no slot and no publication behind. Trap 33 */
export async function deleted(scene: Scene, id: string, wrong: string[]): Promise<void> {
  const answer = await scene.ask('DELETE', `/api/streams/${id}?purge=true`);
  if (answer.status !== 200) wrong.push(`delete answers ${answer.status} ${answer.text}`);
  await nothingLeft(scene, id, wrong);
}

/** Neither its slot nor its publication is at the source. */
export async function nothingLeft(scene: Scene, id: string, wrong: string[]): Promise<void> {
  const name = `planasonix_${id.replace(/^str_/, '')}`;
  const left = await scene.sourceQuery<{ what: string }>(
    `SELECT 'slot' AS what FROM pg_replication_slots WHERE slot_name = $1
     UNION ALL SELECT 'publication' FROM pg_publication WHERE pubname = $1`,
    [name],
  );
  for (const { what } of left) wrong.push(`its ${what} is still there after the delete`);
}
