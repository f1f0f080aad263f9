import type { AddressInfo } from 'node:net';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { freePort, startPostgres, startRedis } from '@planasonix/testing';
import { register } from 'prom-client';
import { boot } from './boot.js';
import { gatewayEnv } from './env.js';

export const KEY = `plnx_live_${'k0'.repeat(22).slice(0, 43)}`;
export const ENCRYPTION_KEY = Buffer.alloc(32, 7).toString('base64');

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // JSON from outside: the assertions give it a shape.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly json: any;
}

export interface UnderTest {
  readonly base: string;
  readonly app: NestFastifyApplication;
  readonly postgres: Awaited<ReturnType<typeof startPostgres>>;
  readonly redis: Awaited<ReturnType<typeof startRedis>>;
  api(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  /** A live tail: the response as it comes. */
  tail(path: string, headers: Record<string, string>, signal: AbortSignal): Promise<Response>;
  end(): Promise<void>;
}

/** The gateway in this process, over a Postgres and a Redis of its own. */
export async function startGateway(extra: Record<string, string> = {}): Promise<UnderTest> {
  const [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
  const port = await freePort();
  // A process has one set of Prometheus counters; a test process boots several gateways.
  register.clear();
  const app = await boot(
    gatewayEnv({
      NODE_ENV: 'test',
      DATABASE_URL: postgres.url(),
      REDIS_URL: redis.url,
      PORT: String(port),
      PLANASONIX_API_KEY: KEY,
      ENCRYPTION_KEY,
      OUTBOUND_POLICY: 'allow-private',
      RATE_LIMIT_PER_MINUTE: '1000000',
      LOG_LEVEL: 'silent',
      ...extra,
    }),
  );
  const base = `http://127.0.0.1:${(app.getHttpServer().address() as AddressInfo).port}`;
  return {
    base,
    app,
    postgres,
    redis,
    api: (method, path, body, headers = {}) => ask(base, method, path, body, headers),
    tail: (path, headers, signal) =>
      fetch(base + path, {
        headers: { authorization: `Bearer ${KEY}`, accept: 'text/event-stream', ...headers },
        signal,
      }),
    end: async () => {
      await app.close();
      await Promise.all([postgres.stop('immediate'), redis.stop()]);
    },
  };
}

async function ask(
  base: string,
  method: string,
  path: string,
  body: unknown,
  headers: Record<string, string>,
): Promise<Answer> {
  const response = await fetch(base + path, {
    method,
    headers: {
      authorization: `Bearer ${KEY}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body),
  });
  const text = await response.text();
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  return { status: response.status, headers: response.headers, text, json };
}
