/** One fault over webhooks, from the load before it to the verdict after it. */
import { eventually } from '@planasonix/testing';
import type { HookFault } from './fault.js';
import type { HookScene } from './hook-scene.js';
import type { Findings } from './oracle.js';
import { random, seedOf } from './random.js';
import type { Round } from './round.js';

/** What is not there by then is lost, ms. */
const ARRIVES_MS = 20_000;
const RECOVERY_MS = 120_000;

export async function playHookRound(scene: HookScene, fault: HookFault, seed: number): Promise<Round> {
  const rng = random(seed, fault.name);
  scene.load.reseed(seedOf(seed, fault.name));
  scene.load.resume();
  await scene.running();
  await goesOn(scene);
  await scene.load.goOn(rng.between(200, 1200));
  const injected = (await fault.inject(scene, rng)) ?? {};
  const overAt = injected.overAt ?? Date.now();
  for (const what of injected.wrong ?? []) scene.ledger.charge('wrong', what);
  const confirmedAt = await goesOn(scene, overAt);
  const findings = await verdict(scene);
  await injected.after?.();
  return {
    ...{ fault: `${fault.family}/${fault.name}`, seed, findings, told: null },
    recoveryMs: Math.max(0, confirmedAt - overAt),
  };
}

/** @returns when the first delivery was confirmed that was sent after `since`, ms */
export const goesOn = (scene: HookScene, since = Date.now()): Promise<number> =>
  eventually('deliveries are confirmed', () => Promise.resolve(scene.ledger.confirmedAfter(since)), {
    timeoutMs: RECOVERY_MS,
    everyMs: 20,
  });

/** Everything that was sent is confirmed; then the log is read. */
async function verdict(scene: HookScene): Promise<Findings> {
  const { ledger, load } = scene;
  let isOver = false;
  void load.pause().then(() => (isOver = true));
  await eventually('everything that was sent is confirmed', () => Promise.resolve(isOver), {
    timeoutMs: RECOVERY_MS,
    everyMs: 20,
  }).catch((error: Error) => ledger.charge('wrong', error.message));
  // Of a transaction that is committed Kafka shows nothing until its end is marked in the topics, a moment later.
  await eventually(
    'what was confirmed is in the log',
    async () => {
      await scene.read();
      return ledger.missing === 0;
    },
    { timeoutMs: ARRIVES_MS, everyMs: 50 },
  ).catch(() => undefined);
  const { status, last_error: error } = await scene.stream();
  if (status !== 'running') ledger.charge('wrong', `the stream says ${status} (${error?.code})`);
  await totals(scene);
  const { events, deliveries, ...charges } = ledger.judge();
  return { ...charges, changes: events, transactions: deliveries, excused: 0 };
}

/** `total_events` is what has come to the log, also after a kill (trap 37). */
async function totals(scene: HookScene): Promise<void> {
  let told: unknown;
  await eventually(
    'total_events is what has come to the log',
    async () => {
      await scene.read();
      told = (await scene.ask('GET', `/api/streams/${scene.streamId}/metrics`)).a.total_events;
      return told === scene.entries;
    },
    { timeoutMs: 60_000, everyMs: 100 },
  ).catch(() => scene.ledger.charge('wrong', `total_events says ${String(told)}, the log has had ${scene.entries}`));
}
