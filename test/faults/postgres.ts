/** The source: its server, the slot, the publication, the tables. */
import pg from 'pg';
import { eventually } from '@planasonix/testing';
import { crowd } from './crowd.js';
import type { Fault, Injected } from './fault.js';
import type { Scene } from './scene.js';
import { smallDiskMissing } from './small-disk.js';
import { DOOMED } from './postgres-grammar.js';
import { TABLES } from './tables.js';

const FAMILY = 'postgres';

const terminated = (scene: Scene): Promise<object[]> =>
  scene.sourceQuery('SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1', [
    scene.slot,
  ]);

/** Somebody else is faster than a reconnect. */
const dropped = (scene: Scene): Promise<unknown> =>
  eventually(
    'the slot is dropped',
    async () => {
      await terminated(scene);
      await scene.sourceQuery(
        'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1',
        [scene.slot],
      );
      return true;
    },
    { timeoutMs: 60_000, everyMs: 1 },
  );

async function invalidated(scene: Scene): Promise<void> {
  const set = async (sql: string): Promise<void> => {
    await scene.sourceQuery(sql);
    await scene.sourceQuery('SELECT pg_reload_conf()');
  };
  await set("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'");
  try {
    await eventually(
      'the slot has lost its WAL',
      async () => {
        await scene.sourceQuery('SELECT pg_switch_wal()');
        await scene.sourceQuery('CHECKPOINT');
        const [slot] = await scene.sourceQuery<{ wal_status: string }>(
          'SELECT wal_status FROM pg_replication_slots WHERE slot_name = $1',
          [scene.slot],
        );
        return slot?.wal_status === 'lost';
      },
      { timeoutMs: 60_000, everyMs: 100 },
    );
  } finally {
    await set('ALTER SYSTEM RESET max_slot_wal_keep_size');
  }
}

/** Reads the slot as another consumer would, and confirms nothing. */
async function heldByAnother(scene: Scene, ms: number): Promise<void> {
  const other = new pg.Client({ connectionString: `${scene.source.url('src')}?replication=database` });
  other.on('error', () => undefined);
  await other.connect();
  const reading = other
    .query(
      `START_REPLICATION SLOT "${scene.slot}" LOGICAL 0/0 (proto_version '1', publication_names '"${scene.slot}"')`,
    )
    .catch(() => undefined);
  await eventually('the slot is held', async () => {
    const [slot] = await scene.sourceQuery<{ active: boolean }>(
      'SELECT active FROM pg_replication_slots WHERE slot_name = $1',
      [scene.slot],
    );
    return slot?.active;
  });
  await scene.start();
  await scene.load.goOn(ms);
  await other.end().catch(() => undefined);
  await reading;
}

/** Paused, and the server has more to send than the ways to the worker hold. */
async function stands(scene: Scene): Promise<void> {
  await scene.command('pause');
  await eventually(
    'the server can send no more',
    async () => {
      // Of nobody's tables: it fills the way sooner than the load does.
      await scene.sourceQuery("SELECT pg_logical_emit_message(true, 'filler', repeat('x', 1000000))");
      const [sender] = await scene.sourceQuery<{ waits: string }>(
        `SELECT a.wait_event AS waits FROM pg_replication_slots s JOIN pg_stat_activity a ON a.pid = s.active_pid
          WHERE s.slot_name = $1`,
        [scene.slot],
      );
      return sender?.waits === 'WalSenderWriteData';
    },
    { timeoutMs: 90_000, everyMs: 100 },
  );
}

/** Who looks after a stopped stream may have found out before: then it says so already, and is not started like this. */
const startsOrTells = (scene: Scene): Promise<void> =>
  scene.start().catch(async (error: unknown) => {
    if ((await scene.stream()).status !== 'error') throw error;
  });

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
  {
    name: 'walsender terminated',
    family: FAMILY,
    traps: [1, 2, 4],
    async inject(scene, rng): Promise<Injected> {
      for (let i = rng.between(1, 4); i > 0; i--) {
        await terminated(scene);
        await scene.load.goOn(rng.between(0, 800));
      }
      return { overAt: Date.now() };
    },
  },
  {
    name: 'slot dropped',
    family: FAMILY,
    traps: [6, 9],
    told: { codes: ['slot_lost'], must: true },
    async inject(scene, rng) {
      const live = rng.chance(0.5);
      if (!live) await scene.command('stop');
      await dropped(scene);
      if (!live) await startsOrTells(scene);
    },
  },
  {
    name: 'slot dropped, running',
    family: FAMILY,
    traps: [6, 9],
    told: { codes: ['slot_lost'], must: true },
    inject: async (scene) => void (await dropped(scene)),
  },
  {
    name: 'slot dropped and made again',
    family: FAMILY,
    traps: [6],
    told: { codes: ['slot_lost', 'offset_gap'], must: true },
    async inject(scene, rng) {
      await scene.command('stop');
      await dropped(scene);
      await scene.load.goOn(rng.between(200, 1500));
      await scene.sourceQuery("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [scene.slot]);
      await startsOrTells(scene);
    },
  },
  {
    name: 'slot advanced',
    family: FAMILY,
    traps: [5],
    told: { codes: ['offset_gap'], must: true },
    async inject(scene, rng) {
      await scene.command('stop');
      await scene.load.goOn(rng.between(200, 1500));
      // Who watches a stopped stream holds its slot for a moment, now and then.
      await eventually('the slot is advanced', () =>
        scene.sourceQuery('SELECT pg_replication_slot_advance($1, pg_current_wal_lsn())', [scene.slot]),
      );
      await startsOrTells(scene);
    },
  },
  {
    name: 'slot invalidated',
    family: FAMILY,
    traps: [9],
    told: { codes: ['slot_lost'], must: true },
    async inject(scene) {
      await scene.command('stop');
      await invalidated(scene);
      await startsOrTells(scene);
    },
  },
  {
    name: 'slot invalidated, running',
    family: FAMILY,
    traps: [9],
    told: { codes: ['slot_lost'], must: true },
    inject: invalidated,
  },
  {
    name: 'slot dropped, paused',
    family: FAMILY,
    traps: [6, 9],
    told: { codes: ['slot_lost'], must: true },
    async inject(scene) {
      await stands(scene);
      await dropped(scene);
      await scene.command('resume');
    },
  },
  {
    name: 'slot invalidated, paused',
    family: FAMILY,
    traps: [9],
    told: { codes: ['slot_lost'], must: true },
    async inject(scene) {
      await stands(scene);
      await invalidated(scene);
      await scene.command('resume');
    },
  },
  {
    name: 'fast stop and start, paused',
    family: FAMILY,
    traps: [5, 9],
    async inject(scene, rng) {
      await stands(scene);
      let down = false;
      const halted = scene.source.halt('fast').then(() => (down = true));
      await eventually('a reader that stands does not keep the server up', () => down, { timeoutMs: 60_000 });
      await halted;
      await scene.load.goOn(rng.between(0, 2000));
      await scene.source.start();
      await scene.command('resume');
    },
  },
  {
    name: 'slot held by somebody else',
    family: FAMILY,
    traps: [33],
    async inject(scene, rng) {
      await scene.command('stop');
      await heldByAnother(scene, rng.between(2000, 6000));
    },
  },
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
      await restartsRead(scene);
      await readAnew(scene, TABLES.hot.subject);
    },
  },
  {
    name: 'table dropped',
    family: FAMILY,
    traps: [17],
    async inject(scene): Promise<Injected> {
      await scene.load.pause();
      await scene.load.sentinel(DOOMED.statements);
      await scene.sourceQuery(DOOMED.drop);
      scene.load.resume();
      await restartsRead(scene);
      return {
        overAt: Date.now(),
        after: async () => {
          await scene.sourceQuery(DOOMED.create);
          await restartsRead(scene);
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
