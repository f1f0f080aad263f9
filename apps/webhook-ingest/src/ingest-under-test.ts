import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import {
  systemClock,
  type EventLog,
  type Log,
  type LogEntry,
  type PipelineOutput,
  type StreamCommand,
} from '@planasonix/core';
import { AskService, CommandService, DeleteService, DepartedLogs, QueueProducer } from '@planasonix/lifecycle';
import {
  ConnectionStore,
  DepartedLogStore,
  ForgottenStore,
  openStore,
  PgStreamLedger,
  PipelineStore,
  SecretBox,
  splitSecrets,
  StreamCommands,
  StreamDeletion,
  StreamStore,
  WorkerStore,
  WorkspaceStore,
  type Actor,
} from '@planasonix/store';
import { createOutbound } from '@planasonix/outbound';
import { eventually, freePort, startPostgres, startRedis } from '@planasonix/testing';
import { LogBook } from '@planasonix/worker';
import type { DataSource } from 'typeorm';
import { WebhookIngest } from './app.js';
import { configJsonSchema } from './config.js';
import { localBase, readIngestEnv } from './env.js';

const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const ENCRYPTION_KEY = Buffer.alloc(32, 7).toString('base64');
export const SECRET = 'a secret of some length';

/** One instance in this process. */
export interface Instance {
  readonly base: string;
  serves(streamId: string): boolean;
  end(): Promise<void>;
}

export interface HookStream {
  readonly id: string;
  readonly token: string;
}

export interface HookAnswer {
  readonly status: number;
  readonly headers: Headers;
  // JSON from outside: the assertions give it a shape.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly json: any;
}

/** Signed as `planasonix` deliveries are. */
export function signedHeaders(body: string | Buffer, secret = SECRET, atMs = Date.now()): Record<string, string> {
  const at = String(Math.floor(atMs / 1000));
  const mac = createHmac('sha256', secret)
    .update(body.length > 0 ? `${at}.` : at)
    .update(body);
  return { 'x-planasonix-timestamp': at, 'x-planasonix-signature': `v1=${mac.digest('hex')}` };
}

export const planasonix = { type: 'preset', preset: 'planasonix', secrets: [SECRET] };

/**
 * Servers, and the control plane without its HTTP: what an instance is surrounded by.
 * @param appLog of the instances
 */
export async function ingestWorld(appLog: Log = quiet) {
  const [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
  const store: DataSource = await openStore(postgres.url(), { log: quiet });
  const box = new SecretBox(ENCRYPTION_KEY);
  const [streams, commands, ledger] = [
    new StreamStore(store, box),
    new StreamCommands(store),
    new PgStreamLedger(store, box),
  ];
  const actor: Actor = {
    ...{ workspaceId: (await new WorkspaceStore(store).create('w')).id },
    ...{ keyId: null, address: null, requestId: null },
  };
  const connections = new ConnectionStore(store, box);
  const outbound = createOutbound({ policy: 'allow-private' });
  const kafka = { settings: (id: string) => connections.settingsOf(id), outbound, log: quiet };
  const logs = new LogBook({ redisUrl: redis.url, kafka });
  const log: EventLog = logs.of({ type: 'redis_stream' });
  const queues = new QueueProducer(redis.url);
  const eventLog = (output: PipelineOutput) => logs.of(output);
  // No bell is rung: instances have to see for themselves.
  const silent = { kick: () => {}, nudge: () => {}, eventLog, clock: systemClock };
  const asks = new AskService(new WorkerStore(store), queues, systemClock);
  const service = new CommandService({ commands, ledger, ...silent });
  const deletes = new DeleteService({
    commands,
    ledger,
    service,
    asks,
    forgotten: new ForgottenStore(store, box),
    deletion: new StreamDeletion(store),
    logs: new DepartedLogs({ store: new DepartedLogStore(store), eventLog, clock: systemClock, log: quiet }),
    ...silent,
  });
  const instances: Instance[] = [];
  let names = 0;

  const world = {
    ...{ postgres, redis, store, streams, connections, ledger, log, logs, asks, actor },
    async instance(extra: Record<string, string> = {}): Promise<Instance> {
      const port = await freePort();
      const env = readIngestEnv({
        ...{ DATABASE_URL: postgres.url(), REDIS_URL: redis.url, ENCRYPTION_KEY, NODE_ENV: 'test' },
        ...{ INGEST_PORT: String(port), ...extra },
      });
      const own = await openStore(postgres.url(), { log: appLog, poolSize: 6 });
      const ingest = new WebhookIngest(env, own, appLog);
      await ingest.start();
      const base = localBase(env);
      await eventually('it listens', () => accepts(env.INGEST_PORT));
      const serves = (id: string) => ingest['directory'].byId(id)?.isOpen === true;
      const end = async () => {
        instances.splice(instances.indexOf(one), 1);
        await ingest.stop();
        await own.destroy();
      };
      const one: Instance = { base, serves, end };
      instances.push(one);
      return one;
    },
    async create(config: Record<string, unknown> = {}, output: object = { type: 'redis_stream' }): Promise<HookStream> {
      const name = `s${++names}`;
      const pipeline = await new PipelineStore(store).create(actor, { name, output } as never);
      const split = splitSecrets(configJsonSchema, { auth: planasonix, ...config });
      const token = `token-${name}`.padEnd(32, 'x');
      const row = await streams.create(actor, {
        ...{ name, sourceType: 'webhook', pipelineId: pipeline.id, connectionId: null },
        ...{ config: split.shown, secrets: split.secrets, ingestToken: token },
      });
      return { id: row.id, token };
    },
    command: (id: string, command: StreamCommand) => service.execute(actor, id, command),
    remove: (id: string, purge = false) => deletes.remove(actor, id, { force: false, purge }),
    row: async (id: string) => (await streams.get(actor.workspaceId, id))!,
    /** Created, started, and served by every instance. */
    async running(config: Record<string, unknown> = {}, output?: object): Promise<HookStream> {
      const stream = await world.create(config, output);
      await world.command(stream.id, 'start');
      await eventually('every instance serves it', () =>
        Promise.resolve(instances.every((one) => one.serves(stream.id))),
      );
      return stream;
    },
    async entries(id: string): Promise<readonly LogEntry[]> {
      return log.read(id, { limit: 1_000_000 });
    },
    async end() {
      await Promise.all([...instances].map((one) => one.end()));
      await queues.close();
      await logs.close();
      await store.destroy();
      await Promise.all([postgres.stop('immediate'), redis.stop()]);
    },
  };
  return world;
}

async function accepts(port: number): Promise<true> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect').finally(() => socket.destroy());
  return true;
}

export type IngestWorld = Awaited<ReturnType<typeof ingestWorld>>;
export type Output = PipelineOutput;

export async function post(
  { base }: Instance,
  { token }: { readonly token: string },
  body: string | Buffer,
  headers: Record<string, string> = signedHeaders(body),
): Promise<HookAnswer> {
  const response = await fetch(`${base}/ingest/${token}`, {
    method: 'POST',
    body: body.length === 0 ? undefined : body,
    headers: { 'content-type': 'application/json', ...headers },
  });
  return { status: response.status, headers: response.headers, json: await response.json().catch(() => null) };
}
