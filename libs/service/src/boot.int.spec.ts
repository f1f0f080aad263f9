import { setTimeout as wait } from 'node:timers/promises';
import { Controller, Get, Module } from '@nestjs/common';
import { EventPattern, Payload } from '@nestjs/microservices';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { eventually, freePort, startProxy, startRedis, type Redis } from '@planasonix/testing';
import { bootApp, type BootOptions } from './boot.js';
import { readEnv } from './env.js';
import { asLog, createLogger } from './logger.js';
import type { Emitter } from './lossy-emitter.js';
import { redisEmitter } from './redis-transport.js';

const heard: unknown[] = [];
let underWay = 0;

@Controller()
class Ears {
  @EventPattern('test.event')
  hear(@Payload() payload: unknown): void {
    heard.push(payload);
  }
  @Get('slow')
  async slow(): Promise<string> {
    underWay++;
    await wait(500);
    return 'done';
  }
}

@Module({ controllers: [Ears] })
class EarsModule {}

const envFor = (redisUrl: string) =>
  readEnv(
    {},
    {
      NODE_ENV: 'test',
      DATABASE_URL: 'postgres://127.0.0.1:1/x',
      REDIS_URL: redisUrl,
      ENCRYPTION_KEY: Buffer.alloc(32).toString('base64'),
      LOG_LEVEL: 'silent',
    },
  );

const log = asLog(createLogger('test', 'silent'));

describe('the shell of every app', () => {
  const apps: NestFastifyApplication[] = [];
  const boot = async (redisUrl: string, more: Partial<BootOptions> = {}) => {
    const app = await bootApp({ name: 'test', env: envFor(redisUrl), module: EarsModule, port: 0, ...more });
    apps.push(app);
    return { app, base: (await app.getUrl()).replace('[::1]', '127.0.0.1') };
  };
  afterEach(async () => {
    await Promise.all(apps.splice(0).map((app) => app.close()));
    heard.length = 0;
  });

  it('tells that it lives, and whether what it depends on does', async () => {
    let up = true;
    const dependencies = () => [
      { name: 'store', check: () => (up ? Promise.resolve() : Promise.reject(new Error('down'))) },
      { name: 'other', check: () => Promise.resolve() },
    ];
    const { base } = await boot('redis://127.0.0.1:1', { dependencies });
    expect(await (await fetch(`${base}/health/live`)).json()).toEqual({ status: 'up', app: 'test' });
    expect((await fetch(`${base}/health/ready`)).status).toBe(200);
    up = false;
    const answer = await fetch(`${base}/health/ready`);
    expect(answer.status).toBe(503);
    expect(await answer.json()).toMatchObject({ status: 'down', dependencies: { store: 'down', other: 'up' } });
  });

  it('a dependency that hangs is one that is down', async () => {
    const { base } = await boot('redis://127.0.0.1:1', {
      dependencies: () => [{ name: 'store', check: () => new Promise(() => undefined) }],
    });
    const begun = performance.now();
    expect((await fetch(`${base}/health/ready`)).status).toBe(503);
    expect(performance.now() - begun).toBeLessThan(3000);
  });

  it('counts requests for Prometheus', async () => {
    const { base } = await boot('redis://127.0.0.1:1');
    await fetch(`${base}/slow`);
    const text = await (await fetch(`${base}/metrics`)).text();
    expect(text).toContain('process_cpu_user_seconds_total');
    expect(text).toMatch(
      /planasonix_http_request_seconds_count\{app="test",method="GET",route="\/slow",status="2xx"\} 1/,
    );
  });

  it('answers what is under way before it closes (trap 38)', async () => {
    const { app, base } = await boot('redis://127.0.0.1:1');
    const before = underWay;
    const answer = fetch(`${base}/slow`);
    await eventually('it is under way', () => underWay > before);
    await app.close();
    expect(await (await answer).text()).toBe('done');
  });

  it('boots and closes at once while Redis is down', async () => {
    const begun = performance.now();
    const { app, base } = await boot(`redis://127.0.0.1:${await freePort()}`, { redisEvents: true });
    expect((await fetch(`${base}/health/live`)).status).toBe(200);
    await app.close();
    expect(performance.now() - begun).toBeLessThan(3000);
  });

  describe('events over Redis', () => {
    let redis: Redis;
    let emitter: Emitter;
    beforeEach(async () => {
      redis = await startRedis();
      emitter = redisEmitter(redis.url, log);
    });
    afterEach(async () => {
      await emitter.close();
      await redis.stop();
    });
    const arrives = (what: string) =>
      eventually(`${what} is heard`, async () => {
        await emitter.emit('test.event', [what]);
        return heard.some((one) => Array.isArray(one) && one[0] === what);
      });

    it('are heard, also by an app that began before Redis did', async () => {
      await redis.kill();
      await boot(redis.url, { redisEvents: true });
      expect(await emitter.emit('test.event', ['lost'])).toBe(false);
      await redis.start();
      await arrives('found');
    });

    it('are heard again after Redis has come back', async () => {
      await boot(redis.url, { redisEvents: true });
      await arrives('before');
      for (const round of ['one', 'two']) {
        await redis.kill();
        expect(await emitter.emit('test.event', ['lost'])).toBe(false);
        await redis.start();
        await arrives(round);
      }
    });

    it('are heard again after the network has swallowed the connection without a word', async () => {
      const proxy = await startProxy({ targetPort: redis.port });
      try {
        await boot(`redis://127.0.0.1:${proxy.port}`, { redisEvents: true });
        await arrives('before');
        proxy.halfOpen();
        await arrives('after');
      } finally {
        await proxy.stop();
      }
    });

    it('a Redis that hangs costs a second at most, leaves nothing open, and is used again when it wakes', async () => {
      await boot(redis.url, { redisEvents: true });
      await arrives('before');
      process.kill(redis.pid, 'SIGSTOP');
      try {
        const begun = performance.now();
        expect(await Promise.all(Array.from({ length: 20 }, () => emitter.emit('test.event', ['lost'])))).not.toContain(
          true,
        );
        expect(performance.now() - begun).toBeLessThan(10_000);
      } finally {
        process.kill(redis.pid, 'SIGCONT');
      }
      await arrives('after');
      const clients = Number(/connected_clients:(\d+)/.exec(await redis.client().info('clients'))![1]);
      expect(clients).toBeLessThan(8);
    });
  });
});
