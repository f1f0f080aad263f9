/** Who holds the stream of a scene, and what becomes of one that stands still for longer than its lease (traps 8, 27 and 32). */
import { eventually } from '@planasonix/testing';
import type { Injected } from './fault.js';
import type { Random } from './random.js';

/** A scene, as far as its stream is held by somebody. */
export interface Held {
  readonly streamId: string;
  readonly load: { goOn(ms: number): Promise<void> };
  storeQuery<T extends object>(sql: string, values?: unknown[]): Promise<T[]>;
  running(): Promise<unknown>;
}

export interface Lease {
  readonly owner: string;
  readonly epoch: number;
}

export async function lease(of: Held): Promise<Lease | null> {
  const [row] = await of.storeQuery<{ owner: string | null; epoch: number }>(
    'SELECT lease_owner AS owner, epoch FROM streams WHERE id = $1',
    [of.streamId],
  );
  return row?.owner == null ? null : { owner: row.owner, epoch: row.epoch };
}

export const held = (of: Held): Promise<Lease> => eventually('the stream has an owner', () => lease(of));

/** Of a worker. The host's name may hold dashes: the pid is the last but one. */
export const pidOf = (workerId: string): number => Number(workerId.split('-').at(-2));

const successor = (of: Held, before: Lease): Promise<Lease> =>
  eventually(
    'another worker has taken over',
    async () => {
      const now = await lease(of);
      return now !== null && now.owner !== before.owner && now.epoch > before.epoch ? now : null;
    },
    { timeoutMs: 60_000, everyMs: 50 },
  );

export async function ownerPastItsLease(of: Held, rng: Random): Promise<Injected> {
  const before = await held(of);
  const overAt = Date.now();
  process.kill(pidOf(before.owner), 'SIGSTOP');
  let after: Lease;
  try {
    after = await successor(of, before);
    await of.running();
    await of.load.goOn(rng.between(200, 3000));
  } finally {
    process.kill(pidOf(before.owner), 'SIGCONT');
  }
  // What it had in hand it would write within moments of waking.
  await of.load.goOn(2000);
  const now = await held(of);
  const isKept = now.owner === after.owner && now.epoch === after.epoch;
  const wrong = isKept
    ? []
    : [`the stream of ${after.owner} (epoch ${after.epoch}) went to ${now.owner} (${now.epoch})`];
  return { overAt, wrong };
}
