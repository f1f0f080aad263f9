/** MariaDB as the source (or MySQL: `--mysql9`): what is done to workers and networks elsewhere, and what its server can meet. */
import { eventually, mySqlRoot } from '@planasonix/testing';
import type { Fault, Injected } from './fault.js';
import { workerPastItsLease } from './frozen.js';
import { kills } from './kills.js';
import { READER, type MySqlKind } from './mysql-origin.js';
import { network } from './network.js';
import type { Session } from './origin.js';
import type { Random } from './random.js';
import { redis } from './redis.js';
import type { Scene } from './scene.js';
import { store } from './store.js';

/** Nothing is made at the source; apps that do not read it are elsewhere's. */
const NOT_HERE = ['at publication-created', 'at slot-created', 'at condemned', 'at let-go', 'gateway', 'aggregator'];
const LAST_OF_POSTGRES = 17;
/** Stale rows of snapshots: of both. */
const STALE = 13;
/** A place means the last commit: whatever ends a connection is about that. */
const PLACE = 18;

const trapsOf = ({ traps }: Fault): readonly number[] => {
  const here = traps.filter((trap) => trap > LAST_OF_POSTGRES || trap === STALE);
  return here.length > 0 ? here : [PLACE];
};

/** What a stream says of a log that is not the one which it has read. */
const OTHER_LOG = ['source_identity_changed', 'log_purged'];

const named = (faults: readonly Fault[], names: readonly string[], prefix: string): Fault[] =>
  faults.filter(({ name }) => names.includes(name)).map((fault) => ({ ...fault, name: `${prefix} ${fault.name}` }));

/** A start that may be refused, for somebody who looks has told already what is lost. */
async function startOrTold(scene: Scene): Promise<void> {
  const answer = await scene.ask('POST', `/api/streams/${scene.streamId}/start`, {});
  const isTold = answer.status === 409 && answer.json.error.code === 'position_lost';
  if (answer.status !== 200 && !isTold) throw new Error(`start: ${answer.status} ${answer.text}`);
}

async function logReset(scene: Scene, rng: Random): Promise<void> {
  await scene.load.goOn(rng.between(200, 1500));
  await scene.load.pause();
  await scene.mysql.resetLog();
  scene.load.resume();
  await scene.load.goOn(rng.between(200, 1500));
}

const OWN: readonly Fault[] = [
  {
    name: 'SIGKILL and start',
    family: '',
    traps: [18],
    async inject(scene, rng) {
      await scene.mysql.server.kill();
      await scene.load.goOn(rng.between(0, 4000));
      await scene.mysql.server.start();
    },
  },
  {
    name: 'shut down and started',
    family: '',
    traps: [18],
    async inject(scene, rng) {
      await scene.mysql.server.shutDown();
      await scene.load.goOn(rng.between(0, 4000));
      await scene.mysql.server.start();
    },
  },
  {
    name: 'dump thread killed',
    family: '',
    traps: [18],
    async inject(scene, rng): Promise<Injected> {
      for (let i = rng.between(1, 4); i > 0; i--) {
        await eventually('it is read', () => dumpsKilled(scene), {
          timeoutMs: 60_000,
          everyMs: 5,
        });
        await scene.load.goOn(rng.between(0, 800));
      }
      return { overAt: Date.now() };
    },
  },
  {
    name: 'connection limit',
    family: '',
    traps: [],
    inject: (scene, rng) => crowded(scene, rng.between(3000, 6000)),
  },
  {
    name: 'log purged',
    family: '',
    traps: [21],
    told: { codes: ['log_purged'], must: true },
    async inject(scene, rng) {
      await scene.command('stop');
      await scene.load.goOn(rng.between(200, 1500));
      await scene.mysql.purge();
      await startOrTold(scene);
    },
  },
  {
    name: 'log reset',
    family: '',
    traps: [20],
    told: { codes: OTHER_LOG, must: true },
    async inject(scene, rng) {
      const live = rng.chance(0.5);
      if (!live) await scene.command('stop');
      await logReset(scene, rng);
      if (!live) await startOrTold(scene);
    },
  },
  {
    name: 'log reset, running',
    family: '',
    traps: [20],
    told: { codes: OTHER_LOG, must: true },
    inject: logReset,
  },
  {
    name: 'restored from an older copy',
    family: '',
    traps: [20, 21],
    told: { codes: OTHER_LOG, must: true },
    async inject(scene, rng) {
      const restore = await scene.mysql.backUp();
      await scene.load.goOn(rng.between(1000, 3000));
      await scene.load.pause();
      // What is restored lacks something that was read.
      await scene.allArrived(60_000);
      await restore();
      scene.load.resume();
    },
  },
  {
    name: 'fail-over to a replica',
    family: '',
    traps: [18, 20],
    scene: { replicas: true },
    async inject(scene, rng) {
      const replica = await scene.mysql.replica();
      await scene.load.goOn(rng.between(200, 2000));
      await scene.load.pause();
      await replica.level();
      await replica.promote();
      scene.network.source.moveTo(scene.origin.port);
      scene.load.resume();
    },
  },
  {
    name: 'fail-over to a replica that lacks what was read',
    family: '',
    traps: [20],
    scene: { replicas: true },
    told: { codes: ['source_identity_changed'], must: true },
    async inject(scene, rng) {
      const replica = await scene.mysql.replica();
      await replica.stopReceiving();
      await scene.load.goOn(rng.between(200, 2000));
      await scene.load.pause();
      await scene.allArrived(60_000);
      await replica.promote();
      scene.network.source.moveTo(scene.origin.port);
      scene.load.resume();
    },
  },
];

/** Connections of the product. @param fits of them */
async function killReaders(admin: Session, fits = 'TRUE'): Promise<number> {
  const found = await admin.query<{ id: number }>(
    `SELECT id AS id FROM information_schema.processlist WHERE user = '${READER}' AND ${fits}`,
  );
  for (const { id } of found) await admin.query(`KILL ${id}`).catch(() => undefined);
  return found.length;
}

async function dumpsKilled(scene: Scene): Promise<number> {
  const admin = await scene.admin();
  const killed = await killReaders(admin, "command LIKE 'Binlog Dump%'");
  await admin.end();
  return killed;
}

/** No connection is left for who reads, and those that it has are ended. */
async function crowded(scene: Scene, ms: number): Promise<void> {
  const { mysql } = scene;
  const admin = await scene.admin();
  const [usual] = await admin.query<{ most: number }>('SELECT @@GLOBAL.max_connections AS most');
  await admin.query('SET GLOBAL max_connections = 10');
  const taken: Session[] = [];
  const until = Date.now() + ms;
  while (Date.now() < until) {
    await mysql.connect().then(
      (session) => taken.push(session),
      () => scene.load.goOn(20),
    );
    await killReaders(admin);
  }
  await admin.query(`SET GLOBAL max_connections = ${usual!.most}`);
  await Promise.allSettled([...taken, admin].map((session) => session.end()));
}

const BORROWED: readonly Fault[] = [
  ...kills.filter(({ name }) => !NOT_HERE.includes(name)),
  workerPastItsLease,
  ...network.filter(({ name }) => name.startsWith('source ')).map((one) => ({ ...one, name: `network ${one.name}` })),
  ...named(redis, ['SIGKILL and start', 'out of memory', 'fail-over to a copy that lacks an order'], 'redis'),
  ...named(store, ['SIGKILL and start', 'read-only'], 'store'),
];

const over = (source: MySqlKind, family: string): Fault[] =>
  [...BORROWED, ...OWN].map((fault) => ({
    ...fault,
    family,
    traps: trapsOf(fault),
    scene: { ...fault.scene, source },
    ...(source === 'mysql' ? { missing } : {}),
  }));

const missing = (): string | null => (mySqlRoot() === null ? 'MySQL is not there' : null);

export const mysql: readonly Fault[] = over('mariadb', 'mysql');
/** The same over MySQL 9, where that is there. */
export const mysql9: readonly Fault[] = over('mysql', 'mysql9');
