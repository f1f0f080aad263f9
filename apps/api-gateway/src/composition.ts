import { systemClock, PATTERNS, type Log } from '@planasonix/core';
import {
  AskService,
  CommandService,
  DeleteService,
  DepartedLogs,
  OutboxRelay,
  PositionService,
  QueueProducer,
} from '@planasonix/lifecycle';
import { MetricsStore } from '@planasonix/metrics';
import { createOutbound, endpointOf } from '@planasonix/outbound';
import { crashPoints, redisEmitter } from '@planasonix/service';
import {
  ApiKeyStore,
  AuditStore,
  ConnectionStore,
  DepartedLogStore,
  DraftStore,
  ForgottenStore,
  IdempotencyStore,
  MetricsSnapshotStore,
  openStore,
  OutboxStore,
  PgStreamLedger,
  PipelineStore,
  PositionStore,
  SecretBox,
  SetAsideStore,
  SnapshotOrderStore,
  StreamCommands,
  StreamDeletion,
  StreamStore,
  WorkerStore,
} from '@planasonix/store';
import { Redis } from 'ioredis';
import { HostRules } from './connections/host-rules.js';
import type { GatewayEnv } from './env.js';
import { ingestBase } from './env.js';
import { RateLimits } from './http/rate-limits.js';
import { Cursors } from './paging/cursor.js';
import { Retention } from './retention.js';
import { SourceCatalog } from './sources/source-catalog.js';
import { WorkerQuestions } from './sources/worker-questions.js';
import { EventLogs } from './streams/event-logs.js';
import { LiveTails } from './streams/live-tails.js';
import { StreamDrafts } from './streams/stream-drafts.js';
import { StreamMetrics } from './streams/stream-metrics.js';

/** For counters: fails at once while Redis is away, and comes back by itself. */
function counterRedis(url: string): Redis {
  const redis = new Redis(url, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    commandTimeout: 1000,
    // A connection on which nothing comes back is made anew: the network may have swallowed it.
    socketTimeout: 5000,
    connectTimeout: 1500,
    retryStrategy: (times) => Math.min(50 * 2 ** times, 1000),
  });
  redis.on('error', () => undefined);
  return redis;
}

export type Gateway = Awaited<ReturnType<typeof composeGateway>>;

/** Everything that the gateway is made of, connected. Waits for Postgres; Redis may come later. */
export async function composeGateway(env: GatewayEnv, log: Log) {
  const store = await openStore(env.DATABASE_URL, { log, poolSize: 20 });
  const box = new SecretBox(env.ENCRYPTION_KEY, env.ENCRYPTION_KEYS_OLD);
  const clock = systemClock;
  const step = crashPoints(env.CRASH_FILE);
  const keys = new ApiKeyStore(store);
  const streams = new StreamStore(store, box);
  const pipelines = new PipelineStore(store);
  const connections = new ConnectionStore(store, box);
  const workers = new WorkerStore(store);
  const idempotency = new IdempotencyStore(store);

  const queues = new QueueProducer(env.REDIS_URL);
  const relay = new OutboxRelay(new OutboxStore(store), queues, clock, log, step);
  const emitter = redisEmitter(env.REDIS_URL, log);
  const outbound = createOutbound({
    policy: env.OUTBOUND_POLICY,
    reserved: [endpointOf(env.DATABASE_URL), endpointOf(env.REDIS_URL)],
  });
  const logs = new EventLogs({
    redisUrl: env.REDIS_URL,
    kafka: { settings: (id) => connections.settingsOf(id), outbound, log },
  });
  const lifecycle = {
    commands: new StreamCommands(store),
    ledger: new PgStreamLedger(store, box),
    kick: () => relay.kick(),
    nudge: (streamId: string) => void emitter.emit(PATTERNS.nudge, { stream_id: streamId }),
    eventLog: (output: Parameters<EventLogs['of']>[0]) => logs.of(output),
    clock,
    step,
  };
  const asks = new AskService(workers, queues, clock);
  const commands = new CommandService(lifecycle);
  const departed = new DepartedLogs({ ...lifecycle, store: new DepartedLogStore(store), log });
  const deletes = new DeleteService({
    ...lifecycle,
    service: commands,
    asks,
    deletion: new StreamDeletion(store),
    forgotten: new ForgottenStore(store, box),
    logs: departed,
  });

  const drafts = new DraftStore(store, box);
  const places = new PositionService({
    ...lifecycle,
    streams,
    positions: new PositionStore(store),
    drafts,
    asks,
  });

  const redis = counterRedis(env.REDIS_URL);
  const counters = new MetricsStore(redis);
  const catalog = new SourceCatalog(workers);
  const questions = new WorkerQuestions(asks, drafts, catalog);
  const limits = new RateLimits(env.REDIS_URL, env.RATE_LIMIT_PER_MINUTE);
  const tails = new LiveTails(log, keys);
  const orders = new SnapshotOrderStore(store);
  const retention = new Retention([idempotency, orders], clock, log);

  return {
    log,
    store,
    box,
    keys,
    streams,
    pipelines,
    connections,
    audit: new AuditStore(store),
    aside: new SetAsideStore(store),
    idempotency,
    redis,
    counters,
    commands,
    deletes,
    places,
    orders,
    nudge: lifecycle.nudge,
    logs,
    tails,
    limits,
    catalog,
    questions,
    hosts: new HostRules(outbound),
    cursors: new Cursors(env.ENCRYPTION_KEY),
    drafts: new StreamDrafts(catalog, pipelines, connections, questions, streams),
    metrics: new StreamMetrics(counters, new MetricsSnapshotStore(store), streams),
    ingestBase: ingestBase(env),
    start(): void {
      relay.start();
      retention.start();
      departed.start();
    },
    /** In order: nothing new, then what is under way, then the connections. */
    async close(): Promise<void> {
      tails.close();
      retention.stop();
      departed.stop();
      await relay.stop();
      await Promise.allSettled([queues.close(), emitter.close(), logs.close()]);
      limits.close();
      redis.disconnect();
      await store.destroy();
    },
  };
}
