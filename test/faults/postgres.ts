/** The source: its server, the publication, the tables. */
import { eventually } from '@planasonix/testing';
import { crowd } from './crowd.js';
import type { Fault, Injected } from './fault.js';
import type { Scene } from './scene.js';
import { slots } from './slots.js';
import { smallDiskMissing } from './small-disk.js';
import { DOOMED } from './postgres-grammar.js';
import { TABLES } from './tables.js';

const FAMILY = 'postgres';

const restartsRead = async (scene: Scene): Promise<void> => {
  await scene.command('stop');
  await scene.start();
};

export const postgres: readonly Fault[] = [
  {
    name: 'immediate stop and start',
    family: FAMILY,
    traps: [5],
    async inject(scene, rng) {
      await scene.source.halt('immediate');
      await scene.load.goOn(rng.between(0, 4000));
      await scene.source.start();
    },
  },
  {
    name: 'SIGKILL and start',
    family: FAMILY,
    traps: [5],
    async inject(scene, rng) {
      await scene.source.kill();
      await scene.load.goOn(rng.between(0, 4000));
      await scene.source.start();
    },
  },
  ...slots,
  {
    name: 'publication dropped',
    family: FAMILY,
    traps: [10],
    told: { codes: ['publication_missing', 'offset_gap', 'slot_lost'], must: true },
    async inject(scene) {
      await scene.sourceQuery(`DROP PUBLICATION "${scene.slot}"`);
    },
  },
  {
    name: 'table taken out of the publication, then a new read',
    family: FAMILY,
    traps: [10, 12],
    async inject(scene, rng) {
      // It is published again by itself and read anew; the log tells readers so.
      scene.oracle.mayMiss(TABLES.hot.subject);
      await scene.sourceQuery(`ALTER PUBLICATION "${scene.slot}" DROP TABLE ${TABLES.hot.name}`);
      await scene.load.goOn(rng.between(500, 2000));
      if (rng.chance(0.5)) await restartsRead(scene);
      await readAnew(scene, TABLES.hot.subject);
    },
  },
  {
    name: 'table dropped',
    family: FAMILY,
    traps: [17],
    async inject(scene, rng): Promise<Injected> {
      // The look at the tables that needs no restart, or the one of the start.
      const [gone, back] = [rng.chance(0.5), rng.chance(0.5)];
      await scene.load.pause();
      await scene.load.sentinel(DOOMED.statements);
      await scene.sourceQuery(DOOMED.drop);
      scene.load.resume();
      if (gone) await restartsRead(scene);
      return {
        overAt: Date.now(),
        after: async () => {
          await scene.sourceQuery(DOOMED.create);
          if (back) await restartsRead(scene);
        },
      };
    },
  },
  {
    name: 'replica identity changed',
    family: FAMILY,
    traps: [11, 14],
    async inject(scene, rng) {
      const set = (identity: string) =>
        scene.sourceQuery(`ALTER TABLE ${TABLES.account.name} REPLICA IDENTITY ${identity}`);
      // Each of the three into each other.
      for (const identity of ['NOTHING', 'FULL', 'NOTHING', 'DEFAULT', 'FULL', 'DEFAULT']) {
        await set(identity);
        await scene.load.goOn(rng.between(200, 1200));
      }
    },
  },
  {
    name: 'disk full',
    family: FAMILY,
    traps: [5],
    scene: { diskMib: 1500 },
    missing: smallDiskMissing,
    async inject(scene, rng) {
      scene.disk!.fill();
      const until = Date.now() + rng.between(3000, 6000);
      // The next segment of WAL has no room.
      while (Date.now() < until) {
        await scene.sourceQuery('SELECT pg_switch_wal()').catch(() => undefined);
        await scene.load.goOn(100);
      }
      scene.disk!.free();
      await scene.source.kill();
      await scene.source.start();
    },
  },
  {
    name: 'connection limit',
    family: FAMILY,
    traps: [9],
    inject: (scene, rng) => crowd(scene, scene.source, 'src', rng),
  },
];

/** Progress is shown each second: seen done so often in a row, it is that of the rows that came after the telling. */
const SEEN_DONE = 3;

/** Readers were told to forget the table, and all of its rows have come. */
async function readAnew(scene: Scene, subject: string): Promise<void> {
  let done = 0;
  await eventually(
    `${subject} is read anew`,
    async () => {
      await scene.read();
      const { snapshot } = await scene.stream();
      const told = scene.oracle.toldOf(subject);
      done = told && snapshot?.state === 'done' ? done + 1 : 0;
      if (done < SEEN_DONE) throw new Error(`${told ? 'told' : 'not told'}, ${JSON.stringify(snapshot)}`);
      return true;
    },
    { timeoutMs: 60_000, everyMs: 700 },
  );
}
