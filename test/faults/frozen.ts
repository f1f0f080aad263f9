/** Workers that stand still, and clocks that do not (traps 27 and 32). Two workers: one is the successor. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { eventually, tempDir } from '@planasonix/testing';
import type { Fault } from './fault.js';
import { held, lease, ownerPastItsLease, pidOf } from './leases.js';

const FAMILY = 'frozen';
const scene = { workers: 2 } as const;

export const workerPastItsLease: Fault = {
  name: 'worker past its lease, then woken',
  family: FAMILY,
  traps: [8, 27, 32],
  scene,
  inject: ownerPastItsLease,
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

/** Seen from a lease, a clock of the store that jumps back is one that ends far ahead, and its owner can't renew it any more. */
const storeClockBack: Fault = {
  name: "store's clock jumps back",
  family: FAMILY,
  traps: [32, 38],
  scene,
  withinMs: 15_000,
  async inject(of) {
    const { owner } = await held(of);
    process.kill(pidOf(owner), 'SIGKILL');
    const overAt = Date.now();
    const set = await of.storeQuery(
      `UPDATE streams SET lease_expires_at = lease_expires_at + interval '1 hour' WHERE id = $1 AND lease_owner = $2 RETURNING 1`,
      [of.streamId, owner],
    );
    return { overAt, wrong: set.length > 0 ? [] : ['the lease of the killed worker was not there any more'] };
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
  storeClockBack,
  appClocks("apps' clocks an hour ahead and back", 1),
  appClocks("apps' clocks an hour behind and back", -1),
];
