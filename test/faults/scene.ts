/** The world of the battery: three servers, each behind a network of its own, the product, one stream, and its load. */
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Redis } from 'ioredis';
import type { Client } from 'pg';
import { eventually, startPostgres, startProxy, startRedis, tempDir, type Proxy } from '@planasonix/testing';
import type { LogEvent } from '../log.js';
import { makeConnection, makePipeline, makeStream } from '../shop.js';
import { startStack, type Answer, type Stack } from '../stack.js';
import { Ledger } from './ledger.js';
import { KafkaScene } from './kafka-scene.js';
import { Load } from './load.js';
import { Oracle } from './oracle.js';
import { redisSceneLog, type SceneLog } from './scene-log.js';
import { mountSmallDisk, type SmallDisk } from './small-disk.js';
import { makeTables } from './tables.js';

type Postgres = Awaited<ReturnType<typeof startPostgres>>;
type RedisServer = Awaited<ReturnType<typeof startRedis>>;

export interface SceneOptions {
  readonly seed: number;
  /** Processes per connector. */
  readonly workers?: number;
  readonly writers?: number;
  /** Runs of hours: what was found right is forgotten. */
  readonly forgetful?: boolean;
  /** Does not sit out the leases of workers that were killed at a crash point: for tests that are in a hurry. */
  readonly hasty?: boolean;
  /** Size of a disk of its own for the source, MiB. */
  readonly diskMib?: number;
  readonly env?: Readonly<Record<string, string>>;
  /** The log is in Kafka, with so many nodes; default: in Redis. */
  readonly kafkaNodes?: 1 | 3;
}

export const APPS = ['postgres-cdc', 'api-gateway', 'metrics-aggregator'] as const;
export type App = (typeof APPS)[number];

/** A change's way, in ms of this machine's clock. */
interface Arrival {
  readonly committedAt: number;
  readonly durableAt: number;
}

export interface Network {
  readonly source: Proxy;
  readonly redis: Proxy;
  readonly store: Proxy;
}

export class Scene {
  readonly ledger: Ledger;
  oracle: Oracle;
  /** What was committed until then may stand in the rows of a snapshot only, ms. */
  excusedUntil: number | null = null;
  readonly log: SceneLog;
  #entries = 0;
  #clients: Client[] = [];
  #arrivals: Arrival[] = [];

  private constructor(
    readonly options: SceneOptions,
    readonly source: Postgres,
    readonly store: Postgres,
    public redisServer: RedisServer,
    readonly network: Network,
    readonly disk: SmallDisk | null,
    readonly stack: Stack,
    readonly crashFile: string,
    readonly connectionId: string,
    readonly pipelineId: string,
    readonly streamId: string,
    public redis: Redis,
    readonly kafka: KafkaScene | null,
  ) {
    this.log = kafka ?? redisSceneLog(() => this.redis);
    this.ledger = new Ledger(options.forgetful);
    this.oracle = new Oracle(this.ledger, options.forgetful);
    this.load = new Load({
      ledger: this.ledger,
      seed: options.seed,
      writers: options.writers ?? 3,
      connect: () => source.connect('src'),
    });
  }
  readonly load: Load;

  static async open(options: SceneOptions): Promise<Scene> {
    const disk = options.diskMib === undefined ? null : mountSmallDisk(options.diskMib);
    const [source, store, redisServer, kafka] = await Promise.all([
      startPostgres({
        ...(disk === null ? {} : { dir: disk.dir }),
        config: { wal_sender_timeout: '10s', max_wal_size: '1GB' },
      }),
      startPostgres(),
      startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always', '--maxmemory-policy', 'noeviction'] }),
      options.kafkaNodes === undefined ? null : KafkaScene.open(options.kafkaNodes),
    ]);
    const network: Network = {
      source: await startProxy({ targetPort: source.port }),
      redis: await startProxy({ targetPort: redisServer.port }),
      store: await startProxy({ targetPort: store.port }),
    };
    for (const [server, database] of [
      [source, 'src'],
      [store, 'meta'],
    ] as const) {
      const admin = await server.connect();
      await admin.query(`CREATE DATABASE ${database}`);
      await admin.end();
    }
    const client = await source.connect('src');
    await makeTables(client);
    await client.end();
    const crashFile = path.join(tempDir('crash'), 'at');
    const stack = await startStack({
      databaseUrl: store.url('meta').replace(`:${store.port}/`, `:${network.store.port}/`),
      redisUrl: `redis://127.0.0.1:${network.redis.port}`,
      env: { CRASH_FILE: crashFile, WORKERS: String(options.workers ?? 1), ...options.env },
    });
    const { host, port } = network.source;
    const connectionId = await makeConnection(stack, { host, port, password: source.password }, 'src');
    const pipelineId = await makePipeline(stack, 'battery', await outputOf(stack, kafka));
    const streamId = await makeStream(stack, {
      name: 'battery',
      connectionId,
      pipelineId,
      config: { tables: ['public.*'], heartbeat_interval: '2s' },
    });
    const redis = redisServer.client();
    const scene = new Scene(
      options,
      source,
      store,
      redisServer,
      network,
      disk,
      stack,
      crashFile,
      connectionId,
      pipelineId,
      streamId,
      redis,
      kafka,
    );
    scene.load.resume();
    await scene.start();
    await scene.snapshotDone();
    scene.excusedUntil = Date.now();
    return scene;
  }

  /** A request that a gateway which has just died may fail: asked again. */
  async ask(method: string, route: string, body?: unknown, timeoutMs = 60_000): Promise<Answer> {
    return eventually(
      `${method} ${route} is answered`,
      async () => {
        const answer = await this.stack.api(method, route, body);
        if (answer.status >= 500) throw new Error(`${answer.status} ${answer.text}`);
        return answer;
      },
      { timeoutMs, everyMs: 100 },
    );
  }

  async stream(id = this.streamId): Promise<Answer['a']> {
    return (await this.ask('GET', `/api/streams/${id}`)).a;
  }

  async start(body?: object, id = this.streamId): Promise<void> {
    const answer = await this.ask('POST', `/api/streams/${id}/start`, body ?? {});
    if (answer.status !== 200) throw new Error(`start: ${answer.status} ${answer.text}`);
  }

  async command(verb: 'stop' | 'pause' | 'resume', id = this.streamId): Promise<void> {
    const answer = await this.ask('POST', `/api/streams/${id}/${verb}`);
    if (answer.status !== 200) throw new Error(`${verb}: ${answer.status} ${answer.text}`);
  }

  /** @throws when it ends in an error */
  async running(id = this.streamId, timeoutMs = 90_000): Promise<void> {
    await this.status(['running'], id, timeoutMs);
  }

  async status(wanted: readonly string[], id = this.streamId, timeoutMs = 90_000): Promise<string> {
    return eventually(
      `the stream is ${wanted.join(' or ')}`,
      async () => {
        const { status, last_error: error } = await this.stream(id);
        if (wanted.includes(status as string)) return status as string;
        throw new Error(`it is ${status}, last error ${error?.code} ${error?.message}`);
      },
      { timeoutMs, everyMs: 100 },
    );
  }

  async snapshotDone(id = this.streamId): Promise<void> {
    await eventually('the snapshot is done', async () => (await this.stream(id)).snapshot?.state === 'done', {
      timeoutMs: 90_000,
      everyMs: 100,
    });
  }

  /** What has come to the log since the last call; the oracle has seen it. */
  async read(): Promise<readonly LogEvent[]> {
    const found = await this.log.read(this.streamId);
    const events = found.map(({ event }) => event);
    this.#entries += events.length;
    this.oracle.take(events);
    for (const { event, durableAt } of found)
      if (event.data.op !== 'r' && event.data.source['snapshot'] !== true)
        this.#arrivals.push({ committedAt: Date.parse(event.time), durableAt });
    return events;
  }

  /** How many events have been read from the log. */
  get entries(): number {
    return this.#entries;
  }

  /** Takes out of the log what was read: a run of hours would fill the memory of Redis. */
  trim(): Promise<void> {
    return this.log.trim(this.streamId);
  }

  beginRound(): void {
    this.#arrivals = [];
  }

  /** The first change of this round that was committed after `ms` and has been read. */
  arrivalAfter(ms: number): Arrival | null {
    return this.#arrivals.find(({ committedAt }) => committedAt > ms) ?? null;
  }

  /** The log is another one now: it is judged from its beginning. */
  readAnew(): void {
    this.log.again();
    this.#entries = 0;
    this.ledger.unsee();
    this.oracle = new Oracle(this.ledger, this.options.forgetful);
  }

  /** At the source, on a direct way. */
  async admin(database = 'src'): Promise<Client> {
    const client = await this.source.connect(database);
    this.#clients.push(client);
    return client;
  }

  async sourceQuery<T extends object>(sql: string, values?: unknown[]): Promise<T[]> {
    const client = await this.source.connect('src');
    try {
      return (await client.query<T>(sql, values)).rows;
    } finally {
      await client.end();
    }
  }

  async storeQuery<T extends object>(sql: string, values?: unknown[]): Promise<T[]> {
    const client = await this.store.connect('meta');
    try {
      return (await client.query<T>(sql, values)).rows;
    } finally {
      await client.end();
    }
  }

  get slot(): string {
    return `planasonix_${this.streamId.replace(/^str_/, '')}`;
  }

  pids(app: App): number[] {
    return this.stack.pids(app);
  }

  /** @returns how many were there to be killed */
  kill(app: App): number {
    const pids = this.pids(app);
    for (const pid of pids) process.kill(pid, 'SIGKILL');
    return pids.length;
  }

  /** Arms a crash point; resolves with a function that waits until a process has ended there. */
  arm(step: string, count: number): () => Promise<void> {
    writeFileSync(this.crashFile, `${step}:${count}`);
    return () =>
      eventually(`a process ends at ${step}:${count}`, () => !existsSync(this.crashFile), {
        timeoutMs: 40_000,
        everyMs: 10,
      }).then(() => (this.options.hasty === true ? this.endDeadLeases() : undefined));
  }

  /** Leases whose worker is dead run out now instead of in 9 s. */
  private async endDeadLeases(): Promise<void> {
    const held = await this.storeQuery<{ id: string; owner: string }>(
      'SELECT id, lease_owner AS owner FROM streams WHERE lease_owner IS NOT NULL',
    );
    const living = this.pids('postgres-cdc');
    // The host's name may hold dashes: the pid is the last but one.
    for (const { id, owner } of held.filter((one) => !living.includes(Number(one.owner.split('-').at(-2)))))
      await this.storeQuery(
        'UPDATE streams SET lease_expires_at = clock_timestamp() WHERE id = $1 AND lease_owner = $2',
        [id, owner],
      );
  }

  async end(): Promise<void> {
    await this.load.stop();
    await this.stack.stop();
    await Promise.allSettled(this.#clients.map((client) => client.end()));
    this.redis.disconnect();
    await Promise.allSettled([
      this.log.end(),
      this.redisServer.stop(),
      this.source.stop('immediate'),
      this.store.stop('immediate'),
      ...Object.values(this.network).map((proxy: Proxy) => proxy.stop()),
    ]);
    this.disk?.unmount();
  }
}

/** Large enough that nothing waits for room. */
const IN_REDIS = { type: 'redis_stream', retention: { max_entries: 100_000_000, on_full: 'block' } };

async function outputOf(stack: Stack, kafka: KafkaScene | null): Promise<object> {
  if (kafka === null) return IN_REDIS;
  const config = { brokers: kafka.brokers };
  const made = await stack.api('POST', '/api/connections', { name: 'log', type: 'kafka', config });
  if (made.status !== 201) throw new Error(`connection of the log: ${made.status} ${made.text}`);
  return kafka.output(made.id);
}
