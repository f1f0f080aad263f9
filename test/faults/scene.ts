/** The world of the battery: three servers, each behind a network of its own, the product, one stream, and its load. */
import { existsSync, writeFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import { eventually } from '@planasonix/testing';
import type { LogEvent } from '../log.js';
import { Ledger } from './ledger.js';
import type { KafkaScene } from './kafka-scene.js';
import { Load } from './load.js';
import { MySqlOrigin, type MySqlKind } from './mysql-origin.js';
import { Oracle } from './oracle.js';
import type { Origin, Session } from './origin.js';
import { PostgresOrigin, slotOf } from './postgres-origin.js';
import type { Seed } from './random.js';
import { redisSceneLog, type SceneLog } from './scene-log.js';
import {
  endServers,
  startProduct,
  startServers,
  type Network,
  type Postgres,
  type Product,
  type RedisServer,
  type Servers,
} from './servers.js';
import type { SmallDisk } from './small-disk.js';
import { SteeredStream } from './steered-stream.js';
import { TABLES } from './tables.js';

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
  /** What is read; default: Postgres. */
  readonly source?: MySqlKind;
  /** Its log is kept from the first transaction on, so that replicas can be made of it. */
  readonly replicas?: boolean;
  /** Redis finds its file as a kill left it: nobody mends it, as elsewhere than under `npm start`. */
  readonly redisAsLeft?: boolean;
}

/** `worker`: of the source that the scene has. */
export const APPS = ['worker', 'api-gateway', 'metrics-aggregator'] as const;
export type App = (typeof APPS)[number];

/** A change's way, in ms of this machine's clock. */
interface Arrival {
  readonly committedAt: number;
  readonly durableAt: number;
}

export class Scene extends SteeredStream implements Servers {
  readonly ledger: Ledger;
  oracle: Oracle;
  readonly log: SceneLog;
  #entries = 0;
  #sessions: Session[] = [];
  #arrivals: Arrival[] = [];

  readonly origin: Origin;
  readonly store: Postgres;
  redisServer: RedisServer;
  readonly network: Network;
  readonly disk: SmallDisk | null;
  readonly kafka: KafkaScene | null;
  readonly pipelineId: string;
  readonly makeStream: Product['makeStream'];
  readonly #crashFile: string;
  redis: Redis;

  private constructor(
    readonly options: SceneOptions,
    servers: Servers,
    product: Product,
  ) {
    super(product.stack, product.streamId);
    const { origin, kafka } = servers;
    this.origin = origin;
    this.store = servers.store;
    this.redisServer = servers.redisServer;
    this.network = servers.network;
    this.disk = servers.disk;
    this.kafka = kafka;
    this.pipelineId = product.pipelineId;
    this.makeStream = product.makeStream;
    this.#crashFile = product.crashFile;
    this.redis = this.redisServer.client();
    this.log = kafka ?? redisSceneLog(() => this.redis);
    this.ledger = new Ledger(options.forgetful);
    this.oracle = new Oracle(this.ledger, options.forgetful);
    this.load = new Load({
      ledger: this.ledger,
      seed: options.seed,
      writers: options.writers ?? 3,
      origin,
    });
  }
  readonly load: Load;

  static async open(options: SceneOptions): Promise<Scene> {
    const servers = await startServers(options);
    const product = await startProduct(servers, options).catch(async (error: unknown) => {
      await endServers(servers);
      throw error;
    });
    const scene = new Scene(options, servers, product);
    scene.load.resume();
    await scene.startAnew();
    return scene;
  }

  /**
   * Starts it with all rows to be read, and waits until they are. What was committed behind the log's last commit and
   * before the place where reading begins now stands in these rows only. @returns when it was started, ms
   */
  async startAnew(body?: object): Promise<number> {
    await this.read();
    const begun = await this.origin.beginning(this);
    const [to, startedAt] = await Promise.all([begun(), this.start(body).then(() => Date.now())]);
    this.oracle.excuse({ from: this.oracle.commit, to });
    await this.running();
    await this.snapshotDone();
    return startedAt;
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

  /** Everything that was committed is in the log; while the load rests. @throws when it is not in time */
  async allArrived(timeoutMs: number): Promise<void> {
    const id = await this.load.sentinel();
    const [writer, n] = id.split(':').map(Number);
    const isIt = ({ subject, data: { after } }: LogEvent): boolean =>
      subject === TABLES.marker.subject && after?.['writer'] === writer && after?.['n'] === n;
    const came = async (): Promise<boolean> => (await this.read()).some(isIt);
    await eventually(`the last transaction (${id}) is in the log`, came, { timeoutMs, everyMs: 20 });
  }

  /** How many events have been read from the log. */
  get entries(): number {
    return this.#entries;
  }

  /** Takes out of the log what was read: a run of hours would fill the memory of Redis. */
  trim(): Promise<void> {
    return this.log.trim(this.streamId);
  }

  beginRound(seed: Seed): void {
    this.#arrivals = [];
    this.load.reseed(seed);
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
    this.oracle = this.oracle.anew();
  }

  /** @throws where another kind of server is read */
  get source(): Postgres {
    if (this.origin instanceof PostgresOrigin) return this.origin.server;
    throw new Error('this scene reads no Postgres');
  }

  /** @throws where another kind of server is read */
  get mysql(): MySqlOrigin {
    if (this.origin instanceof MySqlOrigin) return this.origin;
    throw new Error('this scene reads neither MariaDB nor MySQL');
  }

  /** At the source, on a direct way. */
  async admin(): Promise<Session> {
    const session = await this.origin.connect();
    this.#sessions.push(session);
    return session;
  }

  async sourceQuery<T extends object>(sql: string, values?: unknown[]): Promise<T[]> {
    const session = await this.origin.connect();
    try {
      return await session.query<T>(sql, values);
    } finally {
      await session.end();
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
    return slotOf(this.streamId);
  }

  pids(app: App): number[] {
    return this.stack.pids(app === 'worker' ? this.origin.app : app);
  }

  /** @returns how many were there to be killed */
  kill(app: App): number {
    const pids = this.pids(app);
    for (const pid of pids) process.kill(pid, 'SIGKILL');
    return pids.length;
  }

  /** Arms a crash point; resolves with a function that waits until a process has ended there. */
  arm(step: string, count: number): () => Promise<void> {
    writeFileSync(this.#crashFile, `${step}:${count}`);
    return () =>
      eventually(`a process ends at ${step}:${count}`, () => !existsSync(this.#crashFile), {
        timeoutMs: 90_000,
        everyMs: 10,
      }).then(() => (this.options.hasty === true ? this.endWhatIsDead() : undefined));
  }

  /** Leases whose worker is dead run out now instead of in 9 s; a delete that was cut short is gone on with at once. */
  private async endWhatIsDead(): Promise<void> {
    await this.storeQuery(
      "UPDATE streams SET deleting_at = clock_timestamp() - interval '1 minute' WHERE deleting_at IS NOT NULL",
    );
    await this.storeQuery('UPDATE departed_logs SET next_try_at = clock_timestamp()');
    const held = await this.storeQuery<{ id: string; owner: string }>(
      'SELECT id, lease_owner AS owner FROM streams WHERE lease_owner IS NOT NULL',
    );
    const living = this.pids('worker');
    // The host's name may hold dashes: the pid is the last but one.
    for (const { id, owner } of held.filter((one) => !living.includes(Number(one.owner.split('-').at(-2)))))
      await this.storeQuery(
        'UPDATE streams SET lease_expires_at = clock_timestamp() WHERE id = $1 AND lease_owner = $2',
        [id, owner],
      );
  }

  async end(): Promise<void> {
    try {
      await this.load.stop();
      await this.stack.stop();
    } finally {
      await Promise.allSettled(this.#sessions.map((session) => session.end()));
      this.redis.disconnect();
      await endServers(this);
    }
  }
}
