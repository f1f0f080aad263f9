/** The world of the families `webhook…`: store, Redis and Kafka behind networks of their own, the product, two doors, one stream, its senders. */
import type { Redis } from 'ioredis';
import { eventually, startPostgres, startProxy, startRedis, type Proxy } from '@planasonix/testing';
import { makePipeline } from '../shop.js';
import { ENCRYPTION_KEY, startStack, type Stack } from '../stack.js';
import { OwnDoor } from './hook-doors.js';
import { HookLedger } from './hook-ledger.js';
import { HookLoad } from './hook-load.js';
import { KafkaScene } from './kafka-scene.js';
import { redisSceneLog, type SceneLog } from './scene-log.js';
import { outputOf, type Postgres, type RedisServer } from './servers.js';
import { SteeredStream } from './steered-stream.js';

const SECRET = 'the secret of these senders';
const CONFIG = {
  auth: { type: 'preset', preset: 'planasonix', secrets: [SECRET] },
  ordering_key: { json_pointer: '/sender' },
  expand_array: true,
};

export interface HookSceneOptions {
  readonly seed: number;
  readonly senders: number;
  /** The log is there, and not in Redis. */
  readonly kafka: boolean;
}

interface HookServers {
  readonly store: Postgres;
  readonly redisServer: RedisServer;
  readonly kafka: KafkaScene | null;
  readonly network: { readonly redis: Proxy; readonly store: Proxy };
}

interface HookProduct {
  readonly stack: Stack;
  readonly streamId: string;
  readonly ownDoor: OwnDoor;
  /** Of the stream, at each door. */
  readonly urls: readonly string[];
}

export class HookScene extends SteeredStream {
  readonly ledger: HookLedger;
  readonly load: HookLoad;
  readonly redisServer: RedisServer;
  readonly store: Postgres;
  readonly kafka: KafkaScene | null;
  readonly network: HookServers['network'];
  readonly redis: Redis;
  readonly #ownDoor: OwnDoor;
  readonly #log: SceneLog;
  #entries = 0;

  private constructor(
    options: HookSceneOptions,
    private readonly servers: HookServers,
    { stack, ownDoor, streamId, urls }: HookProduct,
  ) {
    super(stack, streamId);
    this.#ownDoor = ownDoor;
    this.redisServer = servers.redisServer;
    this.store = servers.store;
    this.kafka = servers.kafka;
    this.network = servers.network;
    this.redis = servers.redisServer.client();
    this.#log = servers.kafka ?? redisSceneLog(() => this.redis);
    this.ledger = new HookLedger(streamId);
    this.load = new HookLoad({ ...options, ledger: this.ledger, secret: SECRET, urls });
  }

  static async open(options: HookSceneOptions): Promise<HookScene> {
    const servers = await startServers(options.kafka);
    const product = await startProduct(servers).catch(async (error: unknown) => {
      await endServers(servers);
      throw error;
    });
    return new HookScene(options, servers, product);
  }

  /** What has come to the log since the last call goes to the ledger. */
  async read(): Promise<void> {
    const found = await this.#log.read(this.streamId);
    this.#entries += found.length;
    this.ledger.take(found.map(({ event }) => event));
  }

  /** How many events have been read from the log. */
  get entries(): number {
    return this.#entries;
  }

  trim(): Promise<void> {
    return this.#log.trim(this.streamId);
  }

  /** Processes of each door that listens, once all of them are there: the product's, and the one beside it. */
  async doors(): Promise<readonly (readonly number[])[]> {
    return eventually(
      'each door has a process',
      () => {
        const doors = [this.stack.pids('webhook-ingest'), this.#ownDoor.pids];
        return Promise.resolve(doors.every(({ length }) => length > 0) ? doors : null);
      },
      { timeoutMs: 60_000, everyMs: 50 },
    );
  }

  async end(): Promise<void> {
    try {
      await this.load.stop();
      await Promise.all([this.#ownDoor.end(), this.stack.stop()]);
    } finally {
      this.redis.disconnect();
      await endServers(this.servers);
    }
  }
}

async function startServers(intoKafka: boolean): Promise<HookServers> {
  const [store, redisServer, kafka] = await Promise.all([
    startPostgres(),
    startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always', '--maxmemory-policy', 'noeviction'] }),
    intoKafka ? KafkaScene.open(1) : null,
  ]);
  const network = {
    redis: await startProxy({ targetPort: redisServer.port }),
    store: await startProxy({ targetPort: store.port }),
  };
  return { store, redisServer, kafka, network };
}

async function endServers({ store, redisServer, kafka, network }: HookServers): Promise<void> {
  await Promise.allSettled([
    kafka?.end(),
    redisServer.stop(),
    store.stop('immediate'),
    network.redis.stop(),
    network.store.stop(),
  ]);
}

async function startProduct({ store, network, kafka }: HookServers): Promise<HookProduct> {
  const at = {
    databaseUrl: store.url().replace(`:${store.port}/`, `:${network.store.port}/`),
    redisUrl: `redis://127.0.0.1:${network.redis.port}`,
  };
  const stack = await startStack({ ...at, env: { CONNECTORS: 'webhook-ingest' } });
  const ownDoor = await OwnDoor.open({ ...at, encryptionKey: ENCRYPTION_KEY, logFile: stack.logFile });
  try {
    const pipelineId = await makePipeline(stack, 'battery', await outputOf(stack, kafka));
    const made = await stack.api('POST', '/api/streams', {
      ...{ name: 'battery', sourceType: 'webhook', pipelineId, config: CONFIG },
    });
    if (made.status !== 201) throw new Error(`stream: ${made.status} ${made.text}`);
    const started = await stack.api('POST', `/api/streams/${made.id}/start`);
    if (started.status !== 200) throw new Error(`start: ${started.status} ${started.text}`);
    const url = new URL(made.a.ingest_url as string);
    const other = new URL(url);
    other.port = String(ownDoor.port);
    return { stack, ownDoor, streamId: made.id, urls: [url.href, other.href] };
  } catch (error) {
    await Promise.allSettled([ownDoor.end(), stack.stop()]);
    throw error;
  }
}
