/** Signed posts of 1 kB under 64 connections, beside a bare Fastify server that verifies the same signature. */
import http from 'node:http';
import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { eventually } from '@planasonix/testing';
import { elsewhere, quantile, round, rssMiB, sorted, stopwatch } from './measure.js';
import { paced } from './paced.js';
import { profileOfWorker } from './profile.js';
import type { Scene } from './scene.js';

const CONNECTIONS = 64;
const SECONDS = 8;
const SECRET = 'the secret of the benchmark';
const CROWD = 10_000;
/** Of the stream beside a flood. */
const ROUNDS = 7;
const CALM = { connections: 1, seconds: 2 } as const;

interface Load {
  readonly posts: number;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly failed: number;
}

interface Signed {
  readonly body: Buffer;
  readonly headers: Record<string, string | number>;
}

let made = 0;

/** Signed before the clock runs: the machine is not to be measured at signing. */
function signed(count: number): readonly Signed[] {
  const time = String(Math.floor(Date.now() / 1000));
  return Array.from({ length: count }, () => {
    const body = Buffer.from(JSON.stringify({ id: `evt_${++made}`, type: 'made', note: 'n'.repeat(970) }));
    const mac = createHmac('sha256', SECRET).update(`${time}.`).update(body).digest('hex');
    return {
      body,
      headers: {
        ...{ 'content-type': 'application/json', 'content-length': body.length },
        ...{ 'x-planasonix-timestamp': time, 'x-planasonix-signature': `v1=${mac}` },
        'x-planasonix-event-id': `evt_${made}`,
      },
    };
  });
}

async function load(
  url: string,
  posts: readonly Signed[],
  of: { readonly connections: number; readonly seconds: number; readonly perSecond?: number },
): Promise<Load> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: of.connections });
  const { hostname, port, pathname } = new URL(url);
  const took: number[] = [];
  let [failed, next] = [0, 0];
  const began = performance.now();
  const until = began + of.seconds * 1000;
  const one = ({ body, headers }: Signed) =>
    new Promise<void>((resolve) => {
      const at = performance.now();
      const request = http.request({ agent, hostname, port, path: pathname, method: 'POST', headers }, (answer) => {
        if (answer.statusCode !== 200) failed++;
        answer.resume().on('end', () => {
          took.push(performance.now() - at);
          resolve();
        });
      });
      request.on('error', () => {
        failed++;
        resolve();
      });
      request.end(body);
    });
  const sessions = Array.from({ length: of.connections });
  if (of.perSecond === undefined)
    await Promise.all(
      sessions.map(async () => {
        while (performance.now() < until && next < posts.length) await one(posts[next++]!);
      }),
    );
  else await paced(sessions, { perSecond: of.perSecond, total: posts.length }, (_, n) => one(posts[n - 1]!));
  const seconds = (performance.now() - began) / 1000;
  agent.destroy();
  const all = sorted(took);
  return {
    posts: took.length,
    perSecond: took.length / seconds,
    p50: quantile(all, 0.5),
    p99: quantile(all, 0.99),
    failed,
  };
}

/** It reads the raw body, verifies and answers; nothing else. */
const BARE = `const { createHmac, timingSafeEqual } = require('node:crypto');
const server = require('fastify')({ bodyLimit: 5242880 });
server.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_, body, done) => done(null, body));
server.post('/ingest/:token', (request, reply) => {
  const { 'x-planasonix-timestamp': time, 'x-planasonix-signature': given } = request.headers;
  const own = createHmac('sha256', process.env.SECRET).update(time + '.').update(request.body).digest();
  const right = timingSafeEqual(own, Buffer.from(given.slice(3), 'hex'));
  reply.code(right ? 200 : 401).send({ received: right });
});
server.listen({ port: 0 }).then(() => process.stdout.write(server.server.address().port + '\\n'));`;

/**
 * A process of its own: in this one, the other stream's posts would wait for the flood's before they are sent. Signed
 * posts over as many connections as ARGV says, until its input ends; then it tells how many there were a second.
 */
const FLOOD = `const http = require('node:http'), { createHmac } = require('node:crypto');
const [url, connections] = [new URL(process.argv[1]), Number(process.argv[2])];
const agent = new http.Agent({ keepAlive: true, maxSockets: connections });
let [made, answered, over] = [0, 0, false];
const began = performance.now();
function post() {
  if (over) return;
  const name = 'flood_' + ++made, time = String(Math.floor(Date.now() / 1000));
  const body = JSON.stringify({ id: name, type: 'made', note: 'n'.repeat(970) });
  const mac = createHmac('sha256', process.env.SECRET).update(time + '.' + body).digest('hex');
  const headers = { 'content-type': 'application/json', 'content-length': body.length, 'x-planasonix-timestamp': time,
    'x-planasonix-signature': 'v1=' + mac, 'x-planasonix-event-id': name };
  http.request(url, { agent, method: 'POST', headers }, (answer) => answer.resume().on('end', () => {
    if (++answered === connections) process.stdout.write('begun\\n');
    post();
  })).on('error', () => process.exit(1)).end(body);
}
for (let i = 0; i < connections; i++) post();
process.stdin.resume().on('end', () => {
  over = true;
  process.stdout.write(answered / (performance.now() - began) * 1000 + '\\n', () => process.exit(0));
});`;

/** Resolves when it is under way. @returns ends it, and tells how many posts a second there were */
async function beginFlood(url: string): Promise<() => Promise<number>> {
  const flood = spawn(process.execPath, ['-e', FLOOD, url, String(CONNECTIONS)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, SECRET },
    detached: true,
  });
  elsewhere([flood.pid!]);
  await once(flood.stdout, 'data');
  return async () => {
    flood.stdin.end();
    const [told] = (await once(flood.stdout, 'data')) as [Buffer];
    return Number(told.toString());
  };
}

export async function webhook(scene: Scene): Promise<object> {
  const { stack, redis } = scene;
  const bare = spawn(process.execPath, ['-e', BARE], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, SECRET },
  });
  const [port] = (await once(bare.stdout, 'data')) as [Buffer];
  const bareUrl = `http://127.0.0.1:${port.toString().trim()}/ingest/t`;
  const normal = { connections: CONNECTIONS, seconds: SECONDS };
  await load(bareUrl, signed(4_000), normal);
  const reference = await load(bareUrl, signed(80_000), normal);

  const [one, other] = [await door(scene, 'bench-hooks'), await door(scene, 'bench-other')];
  await load(one.url, signed(4_000), normal);
  const [pid] = stack.pids('webhook-ingest');
  const posts = signed(80_000);
  const watch = stopwatch({ ingest: [pid!], redis: [redis.pid] });
  const profile = profileOfWorker(pid);
  const ours = await load(one.url, posts, normal);
  const { cpu } = watch.read();
  const where = await profile();
  // At full speed who posts is busy too, and what waits there counts as waiting for the answer.
  const half = { ...normal, perSecond: ours.perSecond / 2 };
  const halfway = Math.round((half.perSecond * SECONDS) / 2);
  const eased = await load(one.url, signed(halfway), half);
  const referenceEased = await load(bareUrl, signed(halfway), half);
  bare.kill();

  const neighbour = await besideFlood(one.url, other.url);
  const crowd = await open(one.url, pid!);
  return {
    part: 'webhook',
    ...{ connections: CONNECTIONS, body_bytes: 1024, fsync: 'always' },
    reference: 'bare Fastify, the same signature verified',
    reference_posts_per_s: round(reference.perSecond, 0),
    posts_per_s: round(ours.perSecond, 0),
    ratio: round(ours.perSecond / reference.perSecond, 2),
    ...{
      p50_ms: round(ours.p50),
      p99_ms: round(ours.p99),
      reference_p99_ms: round(reference.p99),
      failed: ours.failed + eased.failed,
    },
    at_half_of_that: { p99_ms: round(eased.p99), reference_p99_ms: round(referenceEased.p99) },
    cpu_us_per_post: Object.fromEntries(
      Object.entries(cpu).map(([name, seconds]) => [name, round((seconds / ours.posts) * 1e6, 0)]),
    ),
    other_stream: neighbour,
    ...crowd,
    ...where,
  };
}

/**
 * What a flood at one stream does to another one. Disk and machine are not the same from minute to minute: both sides are
 * taken in turns, and every round is told.
 */
async function besideFlood(flooded: string, other: string): Promise<object> {
  const rounds: { readonly alone: number; readonly beside: number; readonly floodPerSecond: number }[] = [];
  while (rounds.length < ROUNDS) {
    const [calmly, flooding] = [signed(8_000), signed(8_000)];
    const alone = await load(other, calmly, CALM);
    const flood = await beginFlood(flooded);
    const beside = await load(other, flooding, CALM);
    rounds.push({ alone: alone.p99, beside: beside.p99, floodPerSecond: await flood() });
  }
  const median = (of: readonly number[]) => quantile(sorted(of), 0.5);
  return {
    p99_alone_ms: round(median(rounds.map(({ alone }) => alone))),
    p99_beside_a_flood_ms: round(median(rounds.map(({ beside }) => beside))),
    times: round(median(rounds.map(({ alone, beside }) => beside / alone)), 2),
    flood_per_s: round(median(rounds.map(({ floodPerSecond }) => floodPerSecond)), 0),
    rounds: rounds.map(({ alone, beside, floodPerSecond }) => [round(alone), round(beside), round(floodPerSecond, 0)]),
  };
}

/** A running stream, served. */
async function door(scene: Scene, name: string): Promise<{ id: string; url: string }> {
  const { stack, pipelineId } = scene;
  const auth = { type: 'preset', preset: 'planasonix', secrets: [SECRET] };
  const made = await stack.api('POST', '/api/streams', { name, sourceType: 'webhook', pipelineId, config: { auth } });
  if (made.status !== 201) throw new Error(`webhook: ${made.status} ${made.text}`);
  await stack.api('POST', `/api/streams/${made.id}/start`);
  const url = made.a.ingest_url as string;
  await eventually(
    'it is served',
    async () => (await load(url, signed(1), { connections: 1, seconds: 5 })).failed === 0,
  );
  return { id: made.id, url };
}

/** What open connections cost that have delivered once and stay. */
async function open(url: string, pid: number): Promise<object> {
  const before = rssMiB(pid);
  const agent = new http.Agent({ keepAlive: true, maxSockets: CROWD, maxFreeSockets: CROWD });
  const { hostname, port, pathname } = new URL(url);
  const posts = signed(CROWD);
  let failed = 0;
  let next = 0;
  // All requests are begun before the first is ended, so that each has a connection of its own.
  const requests = posts.map(({ headers }) =>
    http.request({ agent, hostname, port, path: pathname, method: 'POST', headers }),
  );
  await Promise.all(
    requests.map(
      (request) =>
        new Promise<void>((resolve) => {
          request.on('error', () => {
            failed++;
            resolve();
          });
          request.on('response', (answer) => answer.resume().on('end', resolve));
          request.end(posts[next++]!.body);
        }),
    ),
  );
  const after = rssMiB(pid);
  agent.destroy();
  return {
    open_connections: CROWD,
    open_failed: failed,
    rss_before_mib: round(before),
    rss_with_them_mib: round(after),
  };
}
