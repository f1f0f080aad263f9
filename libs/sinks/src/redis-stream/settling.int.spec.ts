import { systemClock, type Clock, type EventLog, type TakenIn } from '@planasonix/core';
import { eventually, startProxy, startRedis, type Redis as RedisServer } from '@planasonix/testing';
import { delivery, gate, repeated, soon, written } from '../deliveries-under-test.js';
import { Inlets } from '../inlets-under-test.js';
import { openLog } from '../open-log.js';
import { hasTimedOut, inletConnection, logUnavailable, redisFactory } from './connection.js';
import { RedisInlet } from './redis-inlet.js';
import { cutLast } from './rest-under-test.js';

const id = 'str_01j9k9z0a1b2c3d4e5f6g7h8j9';

describe('deliveries into a Redis that takes its time', () => {
  let redis: RedisServer;
  let log: EventLog;
  let inlets: Inlets;
  const names = async (of = log) => (await of.read(id, { limit: 1_000 })).map((entry) => entry.id.slice(3));
  const logAt = (url: string): EventLog => openLog({ type: 'redis_stream' }, { redisUrl: url });

  const inletBy = (clock: Clock) =>
    new RedisInlet({ maxEntries: 1_000, onFull: 'block' }, redisFactory(redis.url), clock);

  const begin = async (...args: readonly string[]) => {
    redis = await startRedis({ args });
    log = logAt(redis.url);
    inlets = new Inlets(id, log);
  };
  afterEach(async () => {
    await inlets.close();
    await log.close();
    await redis.stop();
  });

  it('of a Redis that swallows what it is sent he hears in his time; what it was sent is a repeat later (trap 29)', async () => {
    await begin();
    const proxy = await startProxy({ targetPort: redis.port });
    const far = logAt(`redis://127.0.0.1:${proxy.port}`);
    const inlet = await inlets.opened(1, far);
    const other = inletConnection(redisFactory(`redis://127.0.0.1:${proxy.port}`));
    await eventually('it is connected', () => other.ping());
    proxy.stall();
    const events: string[] = [];
    await Promise.all([
      inlet.append(id, 1, delivery('a'), soon(1_000)).catch(({ code }: { code: string }) => events.push(code)),
      // As long as one command may take.
      other.ping().catch((error) => events.push(`timed out: ${hasTimedOut(logUnavailable(error))}`)),
    ]);
    expect(events).toEqual(['log_unavailable', 'timed out: true']);
    proxy.resume();
    expect(await inlet.append(id, 1, delivery('a'), soon(10_000))).toEqual(repeated('a'));
    expect(await names()).toEqual(['a']);
    other.disconnect();
    await far.close();
    await proxy.stop();
  });

  describe('under everysec', () => {
    beforeEach(() => begin('--appendfsync', 'everysec'));

    it('of twenty deliveries that come one after another none waits until another is on the disk (traps 26, 29)', async () => {
      await inlets.opened();
      const disk = gate();
      const inlet = inletBy({
        ...systemClock,
        sleep: async (ms, signal) => {
          if (ms >= 2_000) await disk.pass();
          return systemClock.sleep(ms, signal);
        },
      });
      const [taken, confirmed]: [Promise<TakenIn>[], TakenIn[]] = [[], []];
      const all = Array.from({ length: 20 }, (_, i) => `${i}`);
      for (const name of all) {
        taken.push(inlet.append(id, 1, delivery(name), soon(120_000)));
        void taken.at(-1)!.then((one) => confirmed.push(one));
        await eventually('it is written', async () => (await names()).includes(name));
      }
      expect(confirmed).toEqual([]);
      disk.open();
      expect(await Promise.all(taken)).toEqual(all.map(written));
      await inlet.close();
    });

    it('what a crash took from the disk before it was confirmed is written again, before what came later (Invariant 5)', async () => {
      await inlets.opened();
      // Nothing is confirmed in time.
      const inlet = inletBy({
        ...systemClock,
        sleep: (ms, signal) => systemClock.sleep(ms < 2_000 ? ms : ms * 1e6, signal),
      });
      try {
        for (const name of ['a', 'b', 'c']) {
          inlet.append(id, 1, delivery(name), Infinity).catch(() => undefined);
          await eventually('it is written', async () => (await names()).includes(name));
        }
        await redis.kill();
        cutLast(redis.dir, 1);
        inlet.append(id, 1, delivery('d'), Infinity).catch(() => undefined);
        await redis.start();
        await eventually('all are there', async () => (await names()).length > 3);
        expect(await names()).toEqual(['a', 'b', 'c', 'd']);
      } finally {
        await inlet.close();
      }
    });

    it('loses nothing that it confirmed and doubles nothing while Redis is killed (traps 26, 29)', async () => {
      const inlet = await inlets.opened();
      const confirmed: string[] = [];
      let [stop, next] = [false, 0];
      const load = Array.from({ length: 100 }, async () => {
        while (!stop) {
          const name = `n${next++}`;
          const { kind } = await inlet.append(id, 1, delivery(name), soon(60_000));
          if (kind !== 'full') confirmed.push(name);
        }
      });
      await eventually('deliveries are confirmed', () => confirmed.length > 0);
      await redis.kill();
      await redis.start();
      stop = true;
      await Promise.all(load);
      expect((await names()).sort()).toEqual(confirmed.sort());
    });
  });
});
