/** The slot that is read, and whoever sends it. */
import pg from 'pg';
import { eventually } from '@planasonix/testing';
import type { Fault, Injected } from './fault.js';
import type { Scene } from './scene.js';

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

/** A reader that stands loses its slot. */
const standing = (name: string, traps: readonly number[], lost: (scene: Scene) => Promise<unknown>): Fault => ({
  ...{ name, family: FAMILY, traps },
  told: { codes: ['slot_lost'], must: true },
  async inject(scene) {
    await stands(scene);
    await lost(scene);
    await scene.command('resume');
  },
});

export const slots: readonly Fault[] = [
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
  standing('slot dropped, paused', [6, 9], dropped),
  standing('slot invalidated, paused', [9], invalidated),
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
];
