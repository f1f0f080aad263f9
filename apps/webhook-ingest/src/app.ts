import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { Server as TlsServer } from 'node:tls';
import { PATTERNS, systemClock, type CounterReport, type Log, type SourceType } from '@planasonix/core';
import { consumeQueues, type AskJob, type QueueConsumer } from '@planasonix/lifecycle';
import { createOutbound, endpointOf } from '@planasonix/outbound';
import { countersEmitter, type Emitter } from '@planasonix/service';
import { ConnectionStore, DraftStore, InletLedger, PgStreamLedger, SecretBox, WorkerStore } from '@planasonix/store';
import { Answers, LogBook, Sources } from '@planasonix/worker';
import type { FastifyInstance } from 'fastify';
import type { DataSource } from 'typeorm';
import { Directory } from './directory.js';
import { localBase, publicBase, tlsFiles, type IngestEnv } from './env.js';
import { Ingest } from './ingest.js';
import { Inlets } from './inlets.js';
import { Peers } from './peers.js';
import { Reporter } from './reporter.js';
import { sendSample } from './sampler.js';
import { addressesOf, ingestServer, listen } from './server.js';
import { webhook } from './source-type.js';
import { Storing } from './storing.js';
import { Strays } from './strays.js';
import { DoorTls } from './tls.js';

const HEARTBEAT_MS = 2_000;
/** What is under way at SIGTERM gets this long: longer than a delivery takes to become durable. */
const DRAIN_MS = 5_000;
/** The view of the store is older than this: not ready, though what is known is served. */
const STALE_MS = 10_000;

/** One instance: it serves every webhook stream, beside any number of others. */
export class WebhookIngest {
  readonly instance = `${hostname()}-${process.pid}-${randomBytes(4).toString('hex')}`;
  announced = false;
  private readonly stopping = new AbortController();
  private readonly tls: DoorTls | null;
  private readonly type: SourceType;
  private readonly logs: LogBook;
  private readonly emitter: Emitter;
  private readonly workers: WorkerStore;
  private readonly inlets: Inlets;
  private readonly directory: Directory;
  private readonly reporter: Reporter;
  private readonly strays: Strays;
  /** One for each address. */
  private readonly servers: readonly { readonly host: string; readonly at: FastifyInstance }[];
  private readonly answers: Answers;
  private queues: QueueConsumer | null = null;

  constructor(
    private readonly env: IngestEnv,
    store: DataSource,
    private readonly log: Log,
  ) {
    const clock = systemClock;
    const files = tlsFiles(env);
    this.tls = files && new DoorTls(files);
    const certificateHeader = env.INGEST_CLIENT_CERT_HEADER?.toLowerCase() ?? null;
    const certificates = { header: certificateHeader, direct: this.tls !== null };
    this.type = webhook(certificates);
    const { type: sourceType } = this.type;
    const box = new SecretBox(env.ENCRYPTION_KEY, env.ENCRYPTION_KEYS_OLD);
    const outbound = createOutbound({
      policy: env.OUTBOUND_POLICY,
      reserved: [endpointOf(env.DATABASE_URL), endpointOf(env.REDIS_URL)],
    });
    const ledger = new InletLedger(store, box);
    this.workers = new WorkerStore(store);
    const connections = new ConnectionStore(store, box);
    this.logs = new LogBook({
      redisUrl: env.REDIS_URL,
      kafka: { settings: (id) => connections.settingsOf(id), outbound, log },
    });
    this.emitter = countersEmitter(env, log);
    this.inlets = new Inlets(this.logs);
    const around = { outbound, clock, certificates, remoteKeys: new Map() };
    const shared = { instance: this.instance, sourceType, inlets: this.inlets, clock, log };
    this.directory = new Directory({ ...shared, ledger, around });
    this.reporter = new Reporter({
      ...shared,
      directory: this.directory,
      workers: this.workers,
      report: (reports: readonly CounterReport[]) => void this.emitter.emit(PATTERNS.counters, reports),
    });
    const within = { directory: this.directory, reporter: this.reporter, clock };
    const storing = new Storing({ ...within, inlets: this.inlets, ledger });
    const peers = new Peers(env.INGEST_TRUSTED_PROXIES, certificateHeader);
    const about = { publicBase: publicBase(env), peers, addressRate: env.INGEST_ADDRESS_RATE };
    this.strays = new Strays(clock, log);
    const ingest = new Ingest({ ...within, ...about, storing, strays: this.strays });
    const identity = this.tls?.served ?? null;
    this.servers = addressesOf(env.HOST).map((host) => ({ host, at: ingestServer(ingest, this.strays, identity) }));
    this.answers = new Answers({
      sources: new Sources(this.type, outbound, log),
      ledger: new PgStreamLedger(store, box),
      connections,
      drafts: new DraftStore(store, box),
      logs: this.logs,
    });
  }

  /** Resolves when it is announced; the door opens as soon as its port is free. */
  async start(): Promise<void> {
    const { type: sourceType, connectionTypes, configSchema } = this.type;
    const announcement = {
      id: this.instance,
      sourceType,
      connectionTypes,
      configSchema,
      host: hostname(),
      pid: process.pid,
    };
    await this.workers.announce(announcement);
    this.announced = true;
    this.directory.start();
    this.queues = consumeQueues(this.env.REDIS_URL, sourceType, {
      look: () => this.directory.look(),
      answer: (job, leftMs) => this.answer(job, leftMs),
    });
    void this.reporter.run(this.stopping.signal);
    void this.strays.run(this.stopping.signal);
    void this.keepAlive(announcement);
    const secure = this.servers.map(({ at }) => at.server).filter((server) => server instanceof TlsServer);
    void this.tls?.keepRenewed(secure, { clock: systemClock, log: this.log, signal: this.stopping.signal });
    void this.listen();
  }

  /** A bell: the row of some stream has changed. */
  nudged(): Promise<void> {
    return this.directory.look();
  }

  isFresh(): boolean {
    return this.directory.isFresh(STALE_MS);
  }

  /** Nothing new, what is under way becomes durable and is answered, then the rest (trap 38). */
  async stop(): Promise<void> {
    if (this.stopping.signal.aborted) return;
    this.stopping.abort();
    // Whoever sends slowly is not waited for.
    const late = setTimeout(() => this.servers.forEach(({ at }) => at.server.closeAllConnections()), DRAIN_MS);
    await Promise.allSettled([...this.servers.map(({ at }) => at.close()), this.queues?.close()]);
    clearTimeout(late);
    this.directory.stop();
    this.strays.tell();
    await this.reporter.round(false).catch(() => undefined);
    await this.workers.forget(this.instance).catch(() => undefined);
    await Promise.allSettled([this.inlets.close(), this.logs.close(), this.emitter.close()]);
  }

  private answer(job: AskJob, leftMs: number): Promise<unknown> {
    if (job.kind !== 'sample') return this.answers.answer(job, leftMs);
    const bases = { publicBase: publicBase(this.env), localBase: localBase(this.env) };
    const door = { directory: this.directory, clock: systemClock, tls: this.tls, ...bases };
    return sendSample(door, job.streamId ?? '');
  }

  private async listen(): Promise<void> {
    const { INGEST_PORT: port, HOST: name } = this.env;
    const deps = { clock: systemClock, log: this.log, signal: this.stopping.signal };
    try {
      const found = await Promise.all(this.servers.map(({ host, at }) => listen(at, { port, host }, deps)));
      if (found.every((how) => how === 'no_address')) throw new Error(`This machine has no address ${name}`);
    } catch (error) {
      this.log.error({ err: error }, 'the door can not be opened');
      process.exit(1);
    }
  }

  private async keepAlive(announcement: Parameters<WorkerStore['heartbeat']>[0]): Promise<void> {
    while (await systemClock.sleep(HEARTBEAT_MS, this.stopping.signal))
      await this.workers
        .heartbeat(announcement)
        .catch((error: unknown) => this.log.debug({ err: error }, 'the store did not hear that this instance lives'));
  }
}
