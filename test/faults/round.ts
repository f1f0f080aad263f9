/** One fault, from the load before it to the verdict after it. */
import { eventually } from '@planasonix/testing';
import type { Fault } from './fault.js';
import type { Findings } from './oracle.js';
import { CHARGES } from './oracle.js';
import { random, seedOf } from './random.js';
import type { Scene } from './scene.js';
import { tableRows } from './tables.js';

/** What the stream said of itself instead of going on. */
export interface Told {
  readonly code: string;
  /** From the fault's end until it said so, ms. */
  readonly afterMs: number;
}

export interface Round {
  readonly fault: string;
  readonly seed: number;
  readonly findings: Findings;
  /** From the fault's end, or where it was told from the start that followed, until a change that was committed after it was durable, ms. */
  readonly recoveryMs: number;
  readonly told: Told | null;
}

export const isClean = ({ findings }: Round): boolean => CHARGES.every((charge) => findings[charge].length === 0);

const RECOVERY_MS = 120_000;

export async function playRound(scene: Scene, fault: Fault, seed: number): Promise<Round> {
  const rng = random(seed, fault.name);
  scene.beginRound(seedOf(seed, fault.name));
  scene.load.resume();
  await scene.running();
  await scene.load.goOn(rng.between(200, 1200));
  const injected = (await fault.inject(scene, rng)) ?? {};
  let overAt = injected.overAt ?? Date.now();
  if (injected.otherLog === true) scene.readAnew();
  for (const what of injected.wrong ?? []) scene.oracle.charge('wrong', what);
  const code = await toldError(scene, fault);
  const told = code === null ? null : { code, afterMs: Math.max(0, Date.now() - overAt) };
  if (told !== null) overAt = await scene.startAnew({ onLostPosition: 'resnapshot' });
  const recoveryMs = await recovery(scene, overAt);
  if (fault.withinMs !== undefined && recoveryMs > fault.withinMs)
    scene.oracle.charge('wrong', `it took ${Math.round(recoveryMs / 1000)} s until a change was durable again`);
  const findings = await verdict(scene);
  await injected.after?.();
  return { fault: `${fault.family}/${fault.name}`, seed, findings, recoveryMs, told };
}

/** `null`: it runs. @throws when it has to tell and does not, or tells what is not expected */
async function toldError(scene: Scene, { told }: Fault): Promise<string | null> {
  if (told === undefined) return null;
  if (told.must) await scene.status(['error']);
  else await settled(scene);
  const { status, last_error: error } = await scene.stream();
  if (status !== 'error') return null;
  if (!told.codes.includes(error.code as string))
    scene.oracle.charge('wrong', `told ${error.code} (${error.message}) in place of ${told.codes.join(' or ')}`);
  return error.code as string;
}

/** In error, or a change that is committed now becomes durable. */
async function settled(scene: Scene): Promise<void> {
  const since = Date.now();
  await eventually(
    'the stream goes on or tells why not',
    async () => {
      await scene.read();
      return scene.arrivalAfter(since) !== null || (await scene.stream()).status === 'error';
    },
    { timeoutMs: RECOVERY_MS, everyMs: 50 },
  );
}

async function recovery(scene: Scene, overAt: number): Promise<number> {
  const first = await eventually(
    'changes become durable again',
    async () => {
      await scene.read();
      return scene.arrivalAfter(overAt);
    },
    { timeoutMs: RECOVERY_MS, everyMs: 20 },
  );
  return Math.max(0, first.durableAt - overAt);
}

/** Lets everything that was committed arrive, then asks the oracle. */
export async function verdict(scene: Scene): Promise<Findings> {
  await scene.load.pause();
  let late = false;
  await scene.allArrived(RECOVERY_MS).catch(() => (late = true));
  const source = await scene.admin();
  const rows = await tableRows(scene.origin, source);
  await source.end();
  if (late) scene.oracle.charge('wrong', 'the last transaction did not arrive');
  const { status, last_error: error } = await scene.stream();
  if (status !== 'running') scene.oracle.charge('wrong', `the stream says ${status} (${error?.code})`);
  await totals(scene);
  const findings = scene.oracle.judge(rows);
  scene.load.resume();
  return findings;
}

/** `total_events` is what has come to the log, also after a kill. Trap 37 */
async function totals(scene: Scene): Promise<void> {
  const length = scene.entries;
  let told: unknown;
  await eventually(
    'total_events is what has come to the log',
    async () => (told = (await scene.ask('GET', `/api/streams/${scene.streamId}/metrics`)).a.total_events) === length,
    { timeoutMs: 60_000, everyMs: 100 },
  ).catch(() => scene.oracle.charge('wrong', `total_events says ${String(told)}, the log has had ${length}`));
}
