/** The world of `kafka-source`: a cluster behind networks of its own, producers, and a stream that two workers read into a log. */
import { existsSync, writeFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import { eventually } from '@planasonix/testing';
import type { KafkaScene } from './kafka-scene.js';
import { pidOf } from './leases.js';
import { redisSceneLog, type SceneLog } from './scene-log.js';
import type { Postgres, RedisServer } from './servers.js';
import { SteeredStream } from './steered-stream.js';
import { TopicLedger } from './topic-ledger.js';
import { TopicLoad } from './topic-load.js';
import {
  APP,
  endServers,
  makeStream,
  startProduct,
  startServers,
  TOPICS,
  type TopicProduct,
  type TopicServers,
  type TopicWishes,
} from './topic-servers.js';
import { Topics } from './topics.js';

export type TopicSceneOptions = TopicWishes & { readonly seed: number };

/** Who reads the stream: process ids. */
interface Readers {
  readonly lead: number | null;
  readonly helpers: readonly number[];
}

export class TopicScene extends SteeredStream {
  readonly ledger = new TopicLedger();
  readonly load: TopicLoad;
  readonly topics: Topics;
  readonly store: Postgres;
  readonly redisServer: RedisServer;
  readonly kafka: KafkaScene;
  readonly log: SceneLog;
  readonly #redis: Redis;
  #entries = 0;

  private constructor(
    { seed, log }: TopicSceneOptions,
    private readonly servers: TopicServers,
    private readonly product: TopicProduct,
  ) {
    super(product.stack, product.streamId);
    this.store = servers.store;
    this.redisServer = servers.redisServer;
    this.kafka = servers.kafka;
    this.#redis = servers.redisServer.client();
    this.log = log === 'kafka' ? servers.kafka : redisSceneLog(() => this.#redis);
    this.topics = new Topics(servers.kafka, this.ledger, TOPICS);
    const brokers = servers.kafka.server.directBrokers;
    this.load = new TopicLoad({ ledger: this.ledger, seed, brokers, places: () => this.topics.places });
  }

  static async open(options: TopicSceneOptions): Promise<TopicScene> {
    const servers = await startServers(options);
    const product = await startProduct(servers, options).catch(async (error: unknown) => {
      await endServers(servers);
      throw error;
    });
    return new TopicScene(options, servers, product);
  }

  /** A second stream over the same topics, started. */
  async another(name: string): Promise<string> {
    const { connectionId, pipelineId } = this.product;
    const id = await makeStream(this.stack, name, connectionId, pipelineId);
    await this.start(undefined, id);
    await this.running(id);
    return id;
  }

  /** What has come to the log since the last call goes to the ledger. */
  async read(): Promise<void> {
    const found = await this.log.read(this.streamId);
    this.#entries += found.length;
    this.ledger.take(found);
  }

  /** How many events have been read from the log. */
  get entries(): number {
    return this.#entries;
  }

  trim(): Promise<void> {
    return this.log.trim(this.streamId);
  }

  async storeQuery<T extends object>(sql: string, values?: unknown[]): Promise<T[]> {
    const client = await this.store.connect();
    try {
      return (await client.query<T>(sql, values)).rows;
    } finally {
      await client.end();
    }
  }

  /** Of the workers. */
  pids(): number[] {
    return this.stack.pids(APP);
  }

  /** Who reads a stream now, of those that live; helpers that have told of their share. */
  async readers(id = this.streamId): Promise<Readers> {
    const rows = await this.storeQuery<{ lead: string | null; helper: string | null }>(
      `SELECT s.lease_owner AS lead, h.worker_id AS helper FROM streams s LEFT JOIN stream_helpers h
         ON h.stream_id = s.id AND h.epoch = s.epoch AND h.share IS NOT NULL AND h.report IS NOT NULL
         AND h.expires_at > clock_timestamp() WHERE s.id = $1`,
      [id],
    );
    const alive = this.pids();
    const living = (workers: readonly (string | null)[]): number[] =>
      workers.flatMap((worker) => (worker !== null && alive.includes(pidOf(worker)) ? [pidOf(worker)] : []));
    return { lead: living([rows[0]?.lead ?? null])[0] ?? null, helpers: living(rows.map(({ helper }) => helper)) };
  }

  /** Once two workers read it: one that failed of late rests for a while before it helps again. */
  spread(id = this.streamId): Promise<{ readonly lead: number; readonly helper: number }> {
    return eventually(
      'two workers read the stream',
      async () => {
        const { lead, helpers } = await this.readers(id);
        return lead === null || helpers[0] === undefined ? null : { lead, helper: helpers[0] };
      },
      { timeoutMs: 150_000, everyMs: 200 },
    );
  }

  /** Arms a crash point; resolves with a function that waits until a process has ended there. */
  arm(step: string, count: number): () => Promise<void> {
    const { crashFile } = this.product;
    writeFileSync(crashFile, `${step}:${count}`);
    const ended = () => !existsSync(crashFile);
    return async () => {
      await eventually(`a process ends at ${step}:${count}`, ended, { timeoutMs: 90_000, everyMs: 10 });
    };
  }

  async end(): Promise<void> {
    try {
      await this.load.stop();
      await this.stack.stop();
    } finally {
      this.#redis.disconnect();
      await endServers(this.servers);
    }
  }
}
