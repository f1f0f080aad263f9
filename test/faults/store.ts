/** The system's own Postgres. */
import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { promisify } from 'node:util';
import type { Client } from 'pg';
import type { Fault } from './fault.js';
import { crowd } from './crowd.js';

const FAMILY = 'store';
const run = promisify(execFile);

export const store: readonly Fault[] = [
  {
    name: 'SIGKILL and start',
    family: FAMILY,
    traps: [27, 32],
    async inject(scene, rng) {
      await scene.store.kill();
      await scene.load.goOn(rng.between(0, 5000));
      await scene.store.start();
    },
  },
  {
    name: 'read-only',
    family: FAMILY,
    traps: [32],
    async inject(scene, rng) {
      const admin = await scene.store.connect('meta');
      const set = (value: string) => settle(admin, `ALTER SYSTEM SET default_transaction_read_only = ${value}`);
      await set('on');
      // Longer than a lease, at times.
      await scene.load.goOn(rng.pick([2000, 6000, 12_000]));
      await set('off');
      await admin.end();
    },
  },
  {
    name: 'connection limit',
    family: FAMILY,
    traps: [36],
    async inject(scene, rng) {
      await crowd(scene, scene.store, 'meta', rng);
    },
  },
  {
    name: 'fail-over to an older copy',
    family: FAMILY,
    traps: [5, 32],
    async inject(scene, rng) {
      const { store: server } = scene;
      const copy = `${server.dir}.copy`;
      await server.halt();
      await run('cp', ['-a', server.dir, copy]);
      await server.start();
      // The epoch that the copy knows of is older than the one in the log.
      await scene.running();
      scene.kill('worker');
      await scene.running();
      await scene.load.goOn(rng.between(500, 3000));
      await server.halt();
      rmSync(server.dir, { recursive: true });
      await run('mv', [copy, server.dir]);
      await server.start();
    },
  },
];

async function settle(admin: Client, sql: string): Promise<void> {
  await admin.query(sql);
  await admin.query('SELECT pg_reload_conf()');
}
