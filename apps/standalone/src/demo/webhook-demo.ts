import { createWriteStream, mkdirSync } from 'node:fs';
import path from 'node:path';
import { eventually, freePort, redisServer, startPostgres, startRedis } from '@planasonix/testing';
import type { Redis } from 'ioredis';
import { readLaunchEnv } from '../env.js';
import { portIsFree } from '../port.js';
import { startStack } from '../stack.js';
import { newApiKey, newEncryptionKey } from '../state.js';
import { openApi, type Api, type StreamAnswer } from './api.js';
import { waitUntilRunning } from './binding.js';
import type { Endings } from './endings.js';
import { senders, type Sender } from './senders.js';

const say = (line: string) => void process.stdout.write(`${line}\n`);
const READY_MS = 120_000;

interface Account {
  readonly sender: Sender;
  readonly streamId: string;
  readonly url: string;
  /** Ids that were answered with a yes; how many deliveries were repeats, and how many were refused. */
  readonly confirmed: Set<string>;
  repeats: number;
  refused: number;
}

/** `npm run demo -- --webhook`: deliveries of three vendors, signed, some of them twice or forged. @returns the exit code. */
export async function playWebhooks(
  root: string,
  seconds: number,
  signal: AbortSignal,
  endings: Endings,
): Promise<number> {
  const env = readLaunchEnv();
  redisServer(say);
  say('Starting Postgres (store) and Redis …');
  const [store, redis] = await Promise.all([
    startPostgres({ config: { fsync: 'on' } }).then((server) => endings.add(server, (each) => each.stop('immediate'))),
    startRedis().then((server) => endings.add(server, (each) => each.stop())),
  ]);
  mkdirSync(path.join(root, '.planasonix'), { recursive: true });
  const log = createWriteStream(path.join(root, '.planasonix/demo.log'), { flags: 'w' });
  say('Starting the apps (their log: .planasonix/demo.log) …');
  const key = newApiKey();
  const { PORT: _port, INGEST_URL: _url, ...inherited } = env.inherited;
  const stack = endings.add(
    await startStack({
      ...{ root, databaseUrl: store.adminUrl, redisUrl: redis.url, apiKey: key, encryptionKey: newEncryptionKey() },
      host: env.host,
      port: (await portIsFree(env.port, env.host)) ? env.port : await freePort(),
      ...{ workers: env.workers, connectors: null },
      env: { ...inherited, INGEST_PORT: String(await freePort()), RATE_LIMIT_PER_MINUTE: '100000' },
      write: (line) => void log.write(`${line}\n`),
    }),
    (each) => each.stop(),
  );
  const over = new Promise<boolean>((resolve) => {
    setTimeout(resolve, READY_MS, false).unref();
    signal.addEventListener('abort', () => resolve(false));
  });
  if (!(await Promise.race([stack.ready(), over]))) throw new Error('The apps are not ready: see .planasonix/demo.log');

  const api = openApi(stack.url, key);
  say('Making three streams through the API …');
  const accounts = await bind(api, signal);
  for (const { sender, url } of accounts) say(`  ${sender.name.padEnd(10)} ${sender.preset.padEnd(8)} ${url}`);
  say(`Delivering for ${seconds} s, each tenth twice, each fiftieth forged …`);
  const until = performance.now() + seconds * 1000;
  await Promise.all(accounts.map((account) => deliver(account, () => !signal.aborted && performance.now() < until)));
  if (signal.aborted) return 130;
  const told = await Promise.all(accounts.map((account) => prove(api, redis.client(), account)));
  return told.every(Boolean) ? 0 : 1;
}

async function bind(api: Api, signal: AbortSignal): Promise<readonly Account[]> {
  const pipeline = await api.call<{ id: string }>('POST', '/pipelines', { name: 'hooks' });
  return Promise.all(
    senders().map(async (sender) => {
      const auth = { type: 'preset', preset: sender.preset, secrets: [sender.secret] };
      const stream = { name: sender.name, sourceType: 'webhook', pipelineId: pipeline.id, config: { auth } };
      const made = await api.call<StreamAnswer & { data: { attributes: { ingest_url: string } } }>(
        'POST',
        '/streams',
        stream,
      );
      const streamId = made.data.id;
      await api.call('POST', `/streams/${streamId}/start`);
      await waitUntilRunning(api, streamId, signal);
      return {
        sender,
        streamId,
        url: made.data.attributes.ingest_url,
        confirmed: new Set<string>(),
        repeats: 0,
        refused: 0,
      };
    }),
  );
}

async function deliver(account: Account, goesOn: () => boolean): Promise<void> {
  for (let n = 1; goesOn(); n++) {
    const { body, headers } = account.sender.next(n);
    const forged = n % 50 === 0;
    for (let times = n % 10 === 0 && !forged ? 2 : 1; times > 0; times--) {
      const answer = await fetch(account.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: forged ? `${body} ` : body,
      });
      const told = (await answer.json()) as { id?: string; duplicate?: boolean };
      if (answer.status !== 200) account.refused++;
      else if (told.duplicate) account.repeats++;
      else account.confirmed.add(told.id!);
    }
  }
}

/** Every confirmed delivery is in the log once, nothing else is, and the counters say the same. */
async function prove(api: Api, redis: Redis, { sender, streamId, ...of }: Account): Promise<boolean> {
  const entries = (await redis.xrange(`plnx:events:{${streamId}}`, '-', '+')) as [string, string[]][];
  const ids = entries.map(([, fields]) => fields[fields.indexOf('id') + 1]!);
  const counted = await eventually('the counters have caught up', async () => {
    const { data } = await api.call<{ data: { attributes: { total_events: number } } }>(
      'GET',
      `/streams/${streamId}/metrics`,
    );
    return data.attributes.total_events === ids.length;
  }).catch(() => false);
  const right = ids.length === of.confirmed.size && ids.every((id) => of.confirmed.has(id)) && counted !== false;
  say(
    `  ${sender.name.padEnd(10)} ${of.confirmed.size} confirmed, ${of.repeats} repeats, ${of.refused} forged refused; ${ids.length} events in the log: ${right ? 'equal' : 'NOT EQUAL'}`,
  );
  return right;
}
