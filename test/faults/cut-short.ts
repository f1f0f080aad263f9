/** What is done to a stream once in a while, cut short by a kill: setting a position, an order, letting go, a delete. */
import type { Step } from '@planasonix/core';
import { eventually } from '@planasonix/testing';
import { deletingCutShort, settingCutShort } from './commands-cut-short.js';
import type { Injected } from './fault.js';
import { deleted, equalsTables, makeOther, leftOf, type Other } from './other-stream.js';
import type { Random } from './random.js';
import { slotOf } from './postgres-origin.js';
import type { Scene } from './scene.js';
import { VAST } from './tables.js';

const told = (id: string, wrong: readonly string[]): string[] => wrong.map((what) => `${id}: ${what}`);

/** A stream beside the first one, with its rows read. */
async function made(scene: Scene, step: Step, vast: Random | null = null): Promise<Other> {
  const other = await makeOther(scene, step, vast);
  await scene.start(undefined, other.id);
  await scene.running(other.id);
  await scene.snapshotDone(other.id);
  return other;
}

/** Of a position: an LSN, or a file and an offset. */
function placeOf(position: unknown): string {
  const { lsn, file, pos } = (position ?? {}) as { lsn?: string; file?: string; pos?: number };
  return JSON.stringify([lsn, file, pos]);
}

/** The stream's own place, set anew: it says that this is pending, does not start, and goes on once it has been set. */
export async function positionCutShort(scene: Scene, step: Step): Promise<Injected> {
  // A large transaction that is in the log in part comes again from a place that is set: with its ids, as documented.
  await scene.load.pause();
  await scene.allArrived(60_000);
  const wrong = await settingCutShort(scene, step, placeOf);
  scene.load.resume();
  return { overAt: Date.now(), wrong };
}

/** @throws when it fails */
export async function orderDone(scene: Scene, order: string, stream: string): Promise<void> {
  await eventually(
    'the order is done',
    async () => {
      const { json } = await scene.ask('GET', `/api/streams/${stream}/snapshots`);
      const found = json.data.find((one: { id: string }) => one.id === order);
      if (found.attributes.state === 'failed') throw new Error(found.attributes.failed);
      return found.attributes.state === 'done';
    },
    { timeoutMs: 90_000, everyMs: 100 },
  );
}

/** Its rows are read again, once or twice, while they change, and it is done in the end. */
export async function orderCutShort(scene: Scene, step: Step, rng: Random, count = 1): Promise<Injected> {
  const other = await made(scene, step, rng);
  const { id } = other;
  const ended = scene.arm(step, count);
  const tables = ['public.bulk', ...(other.tables.includes(VAST) ? [VAST.subject] : [])];
  const order = await scene.ask('POST', `/api/streams/${id}/snapshot`, { tables });
  await ended();
  const overAt = Date.now();
  await orderDone(scene, order.id, id);
  const wrong = await equalsTables(scene, other);
  await deleted(scene, id, wrong);
  return { overAt, wrong: told('the other stream', wrong) };
}

/** A stopped stream over its budget: in error before its slot goes, the slot does go, and a start reads anew. */
export async function lettingGoCutShort(scene: Scene, step: Step): Promise<Injected> {
  const other = await made(scene, step);
  const { id } = other;
  // Only while it is stopped: under this load no reader keeps within it.
  const budget = (of: object | null) => scene.ask('PATCH', `/api/streams/${id}`, { config: { wal_budget: of } });
  await scene.command('stop', id);
  await budget({ bytes: '1MB', on_exceeded: 'release' });
  const ended = scene.arm(step, 1);
  for (let i = 0; i < 3; i++)
    await scene.sourceQuery("SELECT pg_logical_emit_message(false, 'noise', repeat('x', 1000000))");
  await ended();
  const overAt = Date.now();
  const wrong: string[] = [];
  const { status, last_error: error } = await scene.stream(id);
  if (status !== 'error' || error.code !== 'wal_budget_exceeded') wrong.push(`it says ${status} (${error?.code})`);
  await eventually(
    'its slot is gone',
    async () =>
      (await scene.sourceQuery('SELECT FROM pg_replication_slots WHERE slot_name = $1', [slotOf(id)])).length === 0,
    { timeoutMs: 90_000, everyMs: 200 },
  );
  await budget(null);
  await scene.start({ onLostPosition: 'resnapshot' }, id);
  await scene.running(id);
  await scene.snapshotDone(id);
  wrong.push(...(await equalsTables(scene, other, true)));
  await deleted(scene, id, wrong);
  return { overAt, wrong: told('the other stream', wrong) };
}

/** It is there and can be deleted again, or it is gone and its log knows when to go; nothing stays at the source. */
export async function deleteCutShort(scene: Scene, step: Step): Promise<Injected> {
  const { id } = await made(scene, step);
  const { overAt, wrong } = await deletingCutShort(scene, step, id, () => leftOf(scene, id));
  return { overAt, wrong: told('the other stream', wrong) };
}
