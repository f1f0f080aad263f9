/** The Redis of queues, counters and the log. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { eventually, freePort, startRedis, tempDir } from '@planasonix/testing';
import { logKey } from '../log.js';
import { orderDone } from './cut-short.js';
import type { Fault, Injected } from './fault.js';
import type { Scene } from './scene.js';
import { TABLES } from './tables.js';

const FAMILY = 'redis';
const run = promisify(execFile);

export const redis: readonly Fault[] = [
  {
    name: 'SIGKILL and start',
    family: FAMILY,
    traps: [26],
    async inject(scene, rng) {
      await scene.redisServer.kill();
      await scene.load.goOn(rng.between(0, 5000));
      await scene.redisServer.start();
    },
  },
  {
    name: 'SIGKILL again and again, its file as it was left',
    family: FAMILY,
    traps: [26],
    // A batch that was being written comes back in part when its file is read again: it goes when the log has been opened.
    scene: { redisAsLeft: true },
    async inject(scene, rng): Promise<Injected> {
      const before = (await scene.redis.xrevrange(logKey(scene.streamId), '+', '-', 'COUNT', 1))[0]?.[0] ?? null;
      for (let kill = 0; kill < 5; kill++) {
        // Much to be written, so that it is being written.
        await scene.command('stop');
        await scene.load.goOn(3000);
        await scene.start();
        await scene.load.goOn(rng.between(0, 1500));
        await scene.redisServer.kill();
        await scene.redisServer.start();
      }
      await scene.running();
      await scene.command('stop');
      await scene.start();
      await scene.running();
      const ids = new Set<string>();
      const twice: string[] = [];
      for await (const page of scene.log.pages(scene.streamId, before))
        for (const { id } of page) {
          if (ids.has(id)) twice.push(id);
          ids.add(id);
        }
      return { wrong: twice.length === 0 ? [] : [`${twice.length} events are in the log twice: ${twice[0]}`] };
    },
  },
  {
    name: 'out of memory',
    family: FAMILY,
    traps: [26],
    async inject(scene, rng) {
      await scene.redis.config('SET', 'maxmemory', '1');
      await scene.load.goOn(rng.between(1000, 6000));
      await scene.redis.config('SET', 'maxmemory', '0');
    },
  },
  {
    name: 'queues deleted',
    family: FAMILY,
    traps: [27],
    async inject(scene): Promise<Injected> {
      let deleted = 0;
      const clear = async (): Promise<void> => {
        const keys = (await scene.redis.keys('plnx:*')).filter((key) => /commands|asks/.test(key));
        if (keys.length > 0) deleted += await scene.redis.del(...keys);
      };
      await clear();
      const stopping = scene.command('stop');
      await clear();
      await stopping;
      const starting = scene.start();
      await clear();
      await starting;
      if (deleted === 0) throw new Error('there was no queue to delete');
      return {};
    },
  },
  {
    name: 'read-only replica',
    family: FAMILY,
    traps: [26],
    async inject(scene, rng) {
      // Of a master that never answers: it keeps its data and takes no writes.
      await scene.redis.replicaof('127.0.0.1', String(await freePort()));
      await scene.load.goOn(rng.between(1000, 6000));
      await scene.redis.replicaof('NO', 'ONE');
    },
  },
  {
    name: 'fail-over to a copy that lags',
    family: FAMILY,
    traps: [2, 5, 26],
    // The copy is judged from its beginning.
    scene: { forgetful: false },
    // Nothing is to be told where the source still has what the copy lacks.
    told: { codes: ['offset_gap'], must: false },
    async inject(scene, rng): Promise<Injected> {
      const dir = await copied(scene);
      await scene.load.goOn(rng.pick([0, 100, 1000, 3000]));
      await failOver(scene, dir);
      return { otherLog: true };
    },
  },
  {
    name: 'fail-over to a copy that lacks an order',
    family: FAMILY,
    traps: [2, 5, 26],
    scene: { forgetful: false },
    told: { codes: ['offset_gap'], must: false },
    async inject(scene): Promise<Injected> {
      // Nothing is written: the place of the copy may be the log's, and the slot does not tell them apart.
      await scene.load.pause();
      await scene.allArrived(60_000);
      const dir = await copied(scene);
      const { id } = await scene.ask('POST', `/api/streams/${scene.streamId}/snapshot`, {
        tables: [TABLES.bulk.subject],
      });
      await orderDone(scene, id, scene.streamId);
      // Until nothing is under way any more: who writes nothing has to notice all the same.
      await scene.load.goOn(3000);
      await failOver(scene, dir);
      const [rows] = await scene.sourceQuery<{ n: number | string }>(
        `SELECT count(*) AS n FROM ${TABLES.bulk.subject}`,
      );
      const again = async (): Promise<boolean> => {
        scene.log.again();
        const found = await scene.log.read(scene.streamId);
        if (found.filter(({ event }) => event.id.includes(id)).length >= Number(rows!.n)) return true;
        return (await scene.stream()).status === 'error';
      };
      const wrong = await eventually('its rows are there, or it is told', again, {
        timeoutMs: 60_000,
        everyMs: 500,
      }).then(
        () => [],
        () => ['rows of an order that was done are lost, and nobody was told'],
      );
      scene.load.resume();
      return { otherLog: true, wrong };
    },
  },
];

/** Of the data of Redis as it is now. */
async function copied({ redisServer }: Scene): Promise<string> {
  const dir = tempDir('redis-copy');
  await run('cp', ['-a', `${redisServer.dir}/.`, dir]);
  return dir;
}

async function failOver(scene: Scene, dir: string): Promise<void> {
  await scene.redisServer.kill();
  const copy = await startRedis({ dir });
  scene.redis.disconnect();
  scene.redis = copy.client();
  scene.redisServer = copy;
  scene.network.redis.moveTo(copy.port);
}
