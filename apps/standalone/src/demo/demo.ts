import { createWriteStream, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import {
  freePort,
  provisionKafka,
  provisionMariaDb,
  redisServer,
  startKafka,
  startPostgres,
  startRedis,
} from '@planasonix/testing';
import { readLaunchEnv } from '../env.js';
import { portIsFree } from '../port.js';
import { endAsked } from '../signals.js';
import { startStack, type Stack } from '../stack.js';
import { newApiKey, newEncryptionKey } from '../state.js';
import { openApi } from './api.js';
import { bindStream, waitUntilRunning, waitUntilSnapshotIsOver } from './binding.js';
import { Endings } from './endings.js';
import type { Figures } from './figures.js';
import { kafkaDemoLog } from './kafka-demo-log.js';
import { openMysqlSource } from './mysql-shop.js';
import { openPostgresSource } from './postgres-shop.js';
import { redisDemoLog } from './redis-demo-log.js';
import { openScreen, type Screen } from './screen.js';
import { verify, waitForMark } from './verify.js';
import { openWatch, type Watch } from './watch.js';
import { playWebhooks } from './webhook-demo.js';

const say = (line: string) => void process.stdout.write(`${line}\n`);
const SESSIONS = 4;
const WEBHOOK_SECONDS = 10;

const USAGE = 'Usage: npm run demo [-- [--webhook | [--kafka] [--mysql]] [--seconds N]]';

interface Wish {
  readonly webhook: boolean;
  /** The log is in Kafka. */
  readonly kafka: boolean;
  /** The shop is on MariaDB. */
  readonly mysql: boolean;
  /** `null`: a demo without an end. */
  readonly seconds: number | null;
}

function readWish(args: readonly string[]): Wish {
  const options = { webhook: { type: 'boolean' }, kafka: { type: 'boolean' }, mysql: { type: 'boolean' }, seconds: { type: 'string' } } as const; // prettier-ignore
  let wish;
  try {
    wish = parseArgs({ args: [...args], options }).values;
  } catch {
    throw new Error(USAGE);
  }
  const { webhook = false, kafka = false, mysql = false, seconds } = wish;
  const whole = seconds === undefined || (/^\d+$/.test(seconds) && Number(seconds) >= 1 && Number(seconds) <= 86_400);
  if (!whole || (webhook && (kafka || mysql))) throw new Error(USAGE);
  return { webhook, kafka, mysql, seconds: seconds === undefined ? null : Number(seconds) };
}

/** `npm run demo`: a shop, the whole system, a live screen. @returns the exit code. */
export async function runDemo(root: string, args: readonly string[]): Promise<number> {
  const wish = readWish(args);
  const { webhook, seconds } = wish;
  const env = readLaunchEnv();
  const stop = new AbortController();
  void endAsked(env.underNpm).then(() => stop.abort());
  const endings = new Endings();
  try {
    if (webhook) return await playWebhooks(root, seconds ?? WEBHOOK_SECONDS, stop.signal, endings);
    return await play(root, wish, stop.signal, endings);
  } catch (error) {
    // Whatever failed because it was ended has not failed.
    if (stop.signal.aborted) return seconds === null ? 0 : 130;
    throw error;
  } finally {
    await endings.all();
  }
}

async function play(
  root: string,
  { seconds, kafka: intoKafka, mysql }: Wish,
  signal: AbortSignal,
  endings: Endings,
): Promise<number> {
  const env = readLaunchEnv();
  redisServer(say);
  if (intoKafka) await provisionKafka(say);
  if (mysql) await provisionMariaDb(say);
  say(`Starting Postgres (store), ${mysql ? 'MariaDB' : 'Postgres'} (source)${intoKafka ? ', Kafka' : ''} and Redis …`);
  const openSource = mysql ? openMysqlSource : openPostgresSource;
  const [store, source, redisServerOfDemo, kafka] = await Promise.all([
    startPostgres({ config: { fsync: 'on' } }).then((server) => endings.add(server, (each) => each.stop('immediate'))),
    openSource(SESSIONS).then((opened) => endings.add(opened, (each) => each.stop())),
    startRedis().then((server) => endings.add(server, (each) => each.stop())),
    intoKafka ? startKafka().then((server) => endings.add(server, (each) => each.stop())) : null,
  ]);

  const shop = await source.openShop();
  if (signal.aborted) return 0;

  const key = newApiKey();
  const logFile = path.join(root, '.planasonix/demo.log');
  mkdirSync(path.dirname(logFile), { recursive: true });
  const log = createWriteStream(logFile, { flags: 'w' });
  say(`Starting the apps (their log: .planasonix/demo.log) …`);
  const { PORT: _port, ...inherited } = env.inherited;
  const stack = endings.add(
    await startStack({
      root,
      databaseUrl: store.adminUrl,
      redisUrl: redisServerOfDemo.url,
      apiKey: key,
      encryptionKey: newEncryptionKey(),
      host: env.host,
      port: (await portIsFree(env.port, env.host)) ? env.port : await freePort(),
      ...{ workers: env.workers, connectors: null },
      env: { ...inherited, OUTBOUND_POLICY: 'allow-private', RATE_LIMIT_PER_MINUTE: '100000' },
      write: (line) => void log.write(`${line}\n`),
    }),
    (each) => each.stop(),
  );
  await waitUntilReady(stack, signal, logFile);

  const api = openApi(stack.url, key);
  say('Making connection, pipeline and stream through the API …');
  const streamId = await bindStream(api, source, kafka?.brokers ?? null);

  // The shop is open before the stream starts: its snapshot is taken under writes.
  const closing = new AbortController();
  const trading = shop.trade(closing.signal);
  trading.catch(() => undefined);
  endings.add(closing, async () => {
    closing.abort();
    await trading;
  });
  await api.call('POST', `/streams/${streamId}/start`);
  await waitUntilRunning(api, streamId, signal);

  const events = endings.add(
    kafka
      ? kafkaDemoLog(kafka.brokers, `shop.${streamId}`)
      : redisDemoLog(redisServerOfDemo.client(), redisServerOfDemo.port, streamId),
    (each) => each.close(),
  );
  const watch = openWatch(api, events, streamId, shop);
  const screen = openScreen(process.stdout, { url: stack.url, key, streamId, lookAtLog: events.howToLook });
  let figures: Figures;
  try {
    figures = await show(watch, screen, trading, seconds, signal);
  } finally {
    screen.close();
  }
  if (signal.aborted || seconds === null) {
    say(`Ended after ${figures.seconds} s with ${figures.logDepth.toLocaleString('en-US')} entries in the log.`);
    return seconds === null ? 0 : 130;
  }

  say('The shop closes; waiting until everything is in the log …');
  closing.abort();
  await trading;
  await waitUntilSnapshotIsOver(api, streamId, signal);
  await waitForMark(events, await shop.mark());
  const equal = await verify(events, source, await settled(watch), say);
  return equal ? 0 : 1;
}

async function waitUntilReady(stack: Stack, signal: AbortSignal, logFile: string): Promise<void> {
  const over = new Promise<boolean>((resolve) => {
    setTimeout(resolve, 120_000, false).unref();
    signal.addEventListener('abort', () => resolve(false));
  });
  if (await Promise.race([stack.ready(), over])) return;
  if (signal.aborted) throw new Error('ended');
  throw new Error(
    `The apps are not ready after 120 s:\n${readFileSync(logFile, 'utf8').split('\n').slice(-15).join('\n')}`,
  );
}

/** A look each second until time is up or the demo is ended. */
async function show(
  watch: Watch,
  screen: Screen,
  trading: Promise<void>,
  seconds: number | null,
  signal: AbortSignal,
): Promise<Figures> {
  const failed = trading.then(() => undefined);
  const ended = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  const until = seconds === null ? Infinity : performance.now() + seconds * 1000;
  for (let next = performance.now(); ;) {
    const figures = await watch.look();
    screen.show(figures);
    next += 1000;
    if (signal.aborted || performance.now() >= until) return figures;
    const wait = Math.max(0, Math.min(next, until) - performance.now());
    // A shop that fails ends the demo: what it tells would not be true any more.
    await Promise.race([new Promise((resolve) => setTimeout(resolve, wait)), ended, failed]);
  }
}

/** The figures once the aggregator has seen the last events (it reports each second). */
async function settled(watch: Watch): Promise<Figures> {
  for (let tries = 0; ; tries++) {
    const figures = await watch.look();
    if (tries >= 10 || (figures.totalEvents >= figures.logDepth && figures.lagSeconds === 0)) return figures;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}
