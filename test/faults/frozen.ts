/** Workers that stand still, and clocks that do not (traps 27 and 32). Two workers: one is the successor. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { eventually, tempDir } from '@planasonix/testing';
import type { Fault, Injected } from './fault.js';
import type { Scene } from './scene.js';

const FAMILY = 'frozen';
const scene = { workers: 2 } as const;

interface Lease {
  readonly owner: string;
  readonly epoch: number;
}

const lease = async (of: Scene): Promise<Lease | null> => {
  const [row] = await of.storeQuery<{ owner: string | null; epoch: number }>(
    'SELECT lease_owner AS owner, epoch FROM streams WHERE id = $1',
    [of.streamId],
  );
  return row?.owner == null ? null : { owner: row.owner, epoch: row.epoch };
};

const held = (of: Scene): Promise<Lease> => eventually('the stream has an owner', () => lease(of));

const successor = (of: Scene, before: Lease): Promise<Lease> =>
  eventually(
    'another worker has taken over',
    async () => {
      const now = await lease(of);
      return now !== null && now.owner !== before.owner && now.epoch > before.epoch ? now : null;
    },
    { timeoutMs: 60_000, everyMs: 50 },
  );

/** The host's name may hold dashes: the pid is the last but one. */
const pidOf = ({ owner }: Lease): number => Number(owner.split('-').at(-2));

export const workerPastItsLease: Fault = {
  name: 'worker past its lease, then woken',
  family: FAMILY,
  traps: [8, 27, 32],
  scene,
  async inject(of, rng): Promise<Injected> {
    const before = await held(of);
    const overAt = Date.now();
    process.kill(pidOf(before), 'SIGSTOP');
    let after: Lease;
    try {
      after = await successor(of, before);
      await of.running();
      await of.load.goOn(rng.between(200, 3000));
    } finally {
      process.kill(pidOf(before), 'SIGCONT');
    }
    // What it had in hand it would write within moments of waking.
    await of.load.goOn(2000);
    const now = await held(of);
    const wrong = now.owner === after.owner ? [] : [`the woken worker took the stream back from its successor`];
    return { overAt, wrong };
  },
};

/** Seen from the leases, a clock of the store that jumps ahead is a lease that has run out under its living owner. */
const storeClock: Fault = {
  name: "store's clock jumps ahead",
  family: FAMILY,
  traps: [32],
  scene,
  async inject(of) {
    const before = await held(of);
    await eventually(
      'another worker has taken over from a living one',
      async () => {
        await of.storeQuery(
          `UPDATE streams SET lease_expires_at = clock_timestamp() - interval '1 hour' WHERE id = $1 AND lease_owner = $2`,
          [of.streamId, before.owner],
        );
        const now = await lease(of);
        return now !== null && now.owner !== before.owner;
      },
      { timeoutMs: 60_000, everyMs: 20 },
    );
  },
};

/** Read by every app at its start: its `Date` is off by what the file says. The monotonic clock is left alone. */
const SHIFTED_DATE = `
const { readFileSync } = require('node:fs');
const Real = Date;
let off = 0;
setInterval(() => {
  try { off = Number(readFileSync(process.env.CLOCK_FILE, 'utf8')) || 0; } catch {}
}, 50).unref();
globalThis.Date = class Date extends Real {
  constructor(...given) { if (given.length > 0) super(...given); else super(Real.now() + off); }
  static now() { return Real.now() + off; }
};
`;

const folder = tempDir('clock');
const [preload, offset] = [path.join(folder, 'shifted-date.cjs'), path.join(folder, 'offset')];
const clocks = { ...scene, env: { NODE_OPTIONS: `--require ${preload}`, CLOCK_FILE: offset } };
writeFileSync(preload, SHIFTED_DATE);

const appClocks = (name: string, hours: number): Fault => ({
  name,
  family: FAMILY,
  traps: [32],
  scene: clocks,
  async inject(of, rng) {
    writeFileSync(offset, String(hours * 3_600_000));
    try {
      await of.load.goOn(rng.between(3000, 6000));
      // A worker that begins under the wrong time, too.
      of.kill('worker');
      await of.running();
      await of.load.goOn(rng.between(1000, 2000));
    } finally {
      writeFileSync(offset, '0');
    }
  },
});

export const frozen: readonly Fault[] = [
  workerPastItsLease,
  storeClock,
  appClocks("apps' clocks an hour ahead and back", 1),
  appClocks("apps' clocks an hour behind and back", -1),
];
