/** (e) The gateway under 64 connections, beside a bare HTTP server that answers the same bytes. */
import http from 'node:http';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { quantile, round, sorted } from './measure.js';
import type { Scene } from './scene.js';

const CONNECTIONS = 64;
const SECONDS = 8;

interface Load {
  readonly perSecond: number;
  readonly p99: number;
  readonly failed: number;
}

/** Requests one after the other on each of 64 kept connections. */
async function load(url: string, headers: Record<string, string>, seconds: number): Promise<Load> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const took: number[] = [];
  let failed = 0;
  const until = performance.now() + seconds * 1000;
  const one = () =>
    new Promise<void>((resolve) => {
      const began = performance.now();
      const request = http.get(url, { agent, headers }, (response) => {
        if (response.statusCode !== 200) failed++;
        response.resume().on('end', () => {
          took.push(performance.now() - began);
          resolve();
        });
      });
      request.on('error', () => {
        failed++;
        resolve();
      });
    });
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      while (performance.now() < until) await one();
    }),
  );
  agent.destroy();
  return { perSecond: took.length / seconds, p99: quantile(sorted(took), 0.99), failed };
}

const BARE = `const http = require('node:http');
http.createServer((_, answer) => { answer.setHeader('content-type', 'application/json'); answer.end(process.env.BODY); })
  .listen(0, '127.0.0.1', function () { process.stdout.write(String(this.address().port) + '\\n'); });`;

export async function gateway(scene: Scene): Promise<object> {
  const { stack, source } = scene;
  await source.query('CREATE TABLE IF NOT EXISTS idle(id int PRIMARY KEY)');
  const id = await scene.create('idle', { tables: ['public.idle'] });
  const url = `${stack.base}/api/streams/${id}`;
  const headers = { authorization: `Bearer ${stack.key}` };
  const body = (await stack.api('GET', `/api/streams/${id}`)).text;

  const bare = spawn(process.execPath, ['-e', BARE], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, BODY: body },
  });
  const [port] = (await once(bare.stdout, 'data')) as [Buffer];
  const reference = await load(`http://127.0.0.1:${port.toString().trim()}/`, headers, SECONDS);
  bare.kill();

  await load(url, headers, 2);
  const ours = await load(url, headers, SECONDS);
  await stack.api('DELETE', `/api/streams/${id}?purge=true`);
  return {
    part: 'gateway',
    connections: CONNECTIONS,
    route: 'GET /api/streams/{id}',
    reference: 'bare node:http server, same body',
    reference_requests_per_s: round(reference.perSecond, 0),
    requests_per_s: round(ours.perSecond, 0),
    ratio: round(ours.perSecond / reference.perSecond, 2),
    p99_ms: round(ours.p99, 1),
    reference_p99_ms: round(reference.p99, 1),
    failed: ours.failed,
  };
}
