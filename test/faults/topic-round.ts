/** One fault over topics, from the load before it to the verdict after it. */
import { eventually } from '@planasonix/testing';
import type { TopicFault } from './fault.js';
import type { Findings } from './oracle.js';
import { random, seedOf } from './random.js';
import type { Round, Told } from './round.js';
import type { TopicScene } from './topic-scene.js';

const RECOVERY_MS = 120_000;

export async function playTopicRound(scene: TopicScene, fault: TopicFault, seed: number): Promise<Round> {
  const rng = random(seed, fault.name);
  scene.load.reseed(seedOf(seed, fault.name));
  scene.load.resume();
  await scene.running();
  await goesOn(scene);
  await scene.load.goOn(rng.between(200, 1200));
  const injected = (await fault.inject(scene, rng)) ?? {};
  let overAt = injected.overAt ?? Date.now();
  for (const what of injected.wrong ?? []) scene.ledger.charge('wrong', what);
  const told = fault.told === undefined ? null : await toldError(scene, fault.told, overAt);
  if (told !== null) overAt = Date.now();
  const recoveryMs = Math.max(0, (await goesOn(scene, overAt)) - overAt);
  if (fault.withinMs !== undefined && recoveryMs > fault.withinMs)
    scene.ledger.charge('wrong', `it took ${Math.round(recoveryMs / 1000)} s until all partitions went on`);
  const findings = await verdict(scene, told !== null);
  await injected.after?.();
  return { fault: `${fault.family}/${fault.name}`, seed, findings, recoveryMs, told };
}

/** @returns when the first record was durable that was sent after `since`, in the partition where that was last, ms */
export const goesOn = (scene: TopicScene, since = Date.now(), timeoutMs = RECOVERY_MS): Promise<number> =>
  eventually(
    'records of every partition become durable',
    async () => {
      await scene.read();
      return scene.ledger.wentOn(since, scene.topics.places);
    },
    { timeoutMs, everyMs: 20 },
  );

/**
 * What the stream told, where it did; it was started again then, and what is lost was given up and nothing else. `null`: it
 * goes on. A topic that was missing when it was looked for says no more than that: whether it is another one now is told by
 * the next start.
 */
async function toldError(
  scene: TopicScene,
  told: NonNullable<TopicFault['told']>,
  since: number,
): Promise<Told | null> {
  for (;;) {
    const code = await tells(scene, told.must);
    if (code === null) return null;
    if (code === 'topic_missing') {
      await scene.start();
      continue;
    }
    const afterMs = Math.max(0, Date.now() - since);
    if (!told.codes.includes(code)) scene.ledger.charge('wrong', `told ${code} in place of ${told.codes.join(' or ')}`);
    await scene.start({ onLostPosition: 'skip' });
    await scene.running();
    return { code, afterMs };
  }
}

/** The code of its error. `null`: every partition goes on. */
async function tells(scene: TopicScene, must: boolean): Promise<string | null> {
  const since = Date.now();
  return eventually(
    must ? 'the stream tells what is lost' : 'the stream goes on or tells why not',
    async () => {
      await scene.read();
      const { status, last_error: error } = await scene.stream();
      if (status === 'error') return { code: error.code as string };
      return !must && scene.ledger.wentOn(since, scene.topics.places) !== null ? { code: null } : null;
    },
    { timeoutMs: RECOVERY_MS, everyMs: 50 },
  ).then(({ code }) => code);
}

/** Lets everything that is in the topics arrive, then judges. */
async function verdict(scene: TopicScene, told: boolean): Promise<Findings> {
  const { ledger, load, topics } = scene;
  await load.pause();
  ledger.holds(await topics.held());
  await eventually(
    'everything that was committed is in the log',
    async () => {
      await scene.read();
      return ledger.missing(told) === 0;
    },
    { timeoutMs: RECOVERY_MS, everyMs: 20 },
  ).catch(() => undefined);
  const { status, last_error: error } = await scene.stream();
  if (status !== 'running') ledger.charge('wrong', `the stream says ${status} (${error?.code})`);
  await figures(scene);
  const { events, shipments, ...charges } = ledger.judge(told);
  return { ...charges, changes: events, transactions: shipments };
}

/** `total_events` is what has come to the log, also after a kill, and nothing is behind (trap 37). */
async function figures(scene: TopicScene): Promise<void> {
  let seen = '';
  await eventually(
    'the figures are those of the log',
    async () => {
      await scene.read();
      const { a } = await scene.ask('GET', `/api/streams/${scene.streamId}/metrics`);
      seen = `total_events ${a.total_events}, backlog_records ${a.backlog_records}`;
      return a.total_events === scene.entries && a.backlog_records === 0;
    },
    { timeoutMs: 60_000, everyMs: 100 },
  ).catch(() => scene.ledger.charge('wrong', `metrics say ${seen}; the log has had ${scene.entries}`));
}
