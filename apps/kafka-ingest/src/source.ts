import {
  CONNECTED,
  isIn,
  StreamError,
  WHOLE,
  type ChangeBatch,
  type Check,
  type ConnectionSettings,
  type Lag,
  type Position,
  type Positions,
  type ReleaseReport,
  type SnapshotProgress,
  type Source,
  type SourceContext,
} from '@planasonix/core';
import { KafkaCluster, kafkaSettings, partitionName, toStreamError, type KafkaSettings } from '@planasonix/kafka';
import { Batches } from './batches.js';
import { Circles } from './circles.js';
import { parseConfig } from './config.js';
import { ReaderGroup } from './group.js';
import { lagOf } from './lag.js';
import { latecomers, openPartitions } from './opening.js';
import { partitionsOf, wantedTopics, type Partition } from './partitions.js';
import { OwnOutput } from './own-output.js';
import { decodePosition, encodePosition, encodeStarts, NOTEBOOK } from './position.js';
import { preflight } from './preflight.js';
import { Reading } from './reading.js';
import { Registry } from './registry/registry.js';
import { SchemaSource } from './registry/schema-source.js';
import { settlePosition } from './settle-position.js';
import { Handed, StuckAt } from './stuck.js';

/** Milliseconds. */
export interface Pace {
  /** How often it looks whether there are more topics or partitions. */
  readonly lookEveryMs: number;
  /** How long a partition may be without an answer; leaders move within seconds. */
  readonly patienceMs: number;
}

const PACE: Pace = { lookEveryMs: 5_000, patienceMs: 15_000 };
/** How long nothing may come before it looks at other things. */
const IDLE_MS = 500;

/** One stream's view of a Kafka cluster. */
export class KafkaSource implements Source {
  private readonly config;
  private readonly settings: KafkaSettings;
  private readonly cluster: KafkaCluster;
  private readonly group: ReaderGroup;
  private readonly handed = new Handed();
  private reading: Reading | null = null;
  /** How many partitions there are, in all shares. */
  private seen = 0;
  private output: { readonly own: OwnOutput; readonly circles: Circles | null } | null = null;
  private looked: { readonly partitions: readonly Partition[]; readonly until: number } | null = null;

  constructor(
    private readonly context: SourceContext,
    private readonly pace = PACE,
  ) {
    const { config, connection, outbound, log, clock, streamId, share = WHOLE } = context;
    if (connection === null) throw new StreamError('config_invalid', 'The stream has no connection.');
    this.config = parseConfig(config);
    this.settings = kafkaSettings(connection);
    this.cluster = new KafkaCluster({ settings: this.settings, outbound, log, clock });
    this.group = new ReaderGroup({
      ...{ cluster: this.cluster, streamId, clock, log, helps: share.index > 0, owned: context.owned },
      shared: this.config.max_tasks > 1,
      remember: (owned) => context.remember(owned),
    });
  }

  async check(signal: AbortSignal): Promise<readonly Check[]> {
    const { cluster, config, settings } = this;
    const registry = this.schemas();
    const user = settings.sasl?.username ?? null;
    return preflight({
      cluster,
      config,
      user,
      group: this.group.name,
      registry,
      ...(await this.outputOr()),
      signal,
    });
  }

  async *read(from: Positions, signal: AbortSignal): AsyncGenerator<ChangeBatch> {
    try {
      yield* this.batches(from, signal);
    } catch (error) {
      if (error instanceof StuckAt) await this.handed.landed(signal);
      if (signal.aborted) return;
      throw toStreamError(error, 'reading');
    }
  }

  ack(partition: string, position: Position): Promise<void> {
    this.handed.durable(partition, position);
    if (partition !== NOTEBOOK) this.group.durable(partition, decodePosition(position));
    return Promise.resolve();
  }

  async lag(from: Positions, signal: AbortSignal): Promise<Lag> {
    const { cluster, context, reading } = this;
    try {
      const partitions = await this.lately(signal);
      return await lagOf({ cluster, partitions, from, newest: reading?.newest ?? null, clock: context.clock, signal });
    } catch (error) {
      throw toStreamError(error, 'looking at the lag');
    }
  }

  async settle(wanted: unknown, from: Positions, signal: AbortSignal): Promise<Positions> {
    try {
      return await settlePosition(
        { cluster: this.cluster, partitions: await this.partitions(signal), signal },
        wanted,
        from,
      );
    } catch (error) {
      throw toStreamError(error, 'settling the position');
    }
  }

  shares(): number {
    return Math.max(1, Math.min(this.config.max_tasks, this.seen));
  }

  snapshot(): SnapshotProgress | null {
    return null;
  }

  release(): Promise<ReleaseReport> {
    return this.group.release();
  }

  async close(): Promise<void> {
    this.reading?.close();
    await this.group.close();
    this.cluster.close();
  }

  /** Those of our share. */
  private async partitions(signal: AbortSignal, output?: OwnOutput): Promise<Partition[]> {
    const { cluster, config, settings } = this;
    const { share = WHOLE } = this.context;
    const own = output ?? (await this.ownOutput()).own;
    const topics = (await wantedTopics(cluster, config, signal)).filter(({ topic }) => !own.has(topic));
    const all = partitionsOf(topics, config, settings.sasl?.username ?? null);
    this.seen = all.length;
    return all.filter((partition) => isIn(share, partitionName(partition)));
  }

  /** Those that may be read. @throws StreamError `config_invalid` where streams that run would bring back what it reads */
  private async outOfCircles(signal: AbortSignal): Promise<Partition[]> {
    const partitions = await this.partitions(signal);
    const topics = [...new Set(partitions.map(({ topic }) => topic))];
    const asked = await this.ownOutput();
    await asked.circles?.expectNone(topics).catch(async () => {
      // Streams of then may be gone.
      if (this.output === asked) this.output = null;
      await (await this.ownOutput()).circles?.expectNone(topics);
    });
    return partitions;
  }

  /** Asked once. @throws StreamError `log_unavailable`, `store_unavailable` */
  private async ownOutput(): Promise<NonNullable<KafkaSource['output']>> {
    if (this.output !== null) return this.output;
    const { config, context } = this;
    const log = (await context.logTopics?.()) ?? null;
    const clusterId = log?.clusterId == null ? null : (await this.cluster.view([])).clusterId;
    const own = new OwnOutput(config, clusterId !== null && log?.clusterId === clusterId ? log : null);
    const { neighbours } = context;
    const circles =
      log === null || clusterId === null || neighbours === undefined
        ? null
        : new Circles({
            ...{ config, connectionId: context.connection!.id, clusterId, log, neighbours: await neighbours.all() },
            clusterOf: async (id) => this.clusterOf(await neighbours.settings(id)),
          });
    return (this.output = { own, circles });
  }

  /** For a look, which has no use for a log that can't be reached. */
  private outputOr(): Promise<NonNullable<KafkaSource['output']>> {
    return this.ownOutput().catch(() => ({ own: new OwnOutput(this.config, null), circles: null }));
  }

  private async clusterOf(connection: ConnectionSettings | null): Promise<string | null> {
    if (connection === null) return null;
    const { outbound, log, clock } = this.context;
    try {
      const cluster = new KafkaCluster({ settings: kafkaSettings(connection), outbound, log, clock });
      return await cluster
        .view([])
        .then(({ clusterId }) => clusterId)
        .finally(() => cluster.close());
    } catch {
      return null;
    }
  }

  /** Good enough for the lag: asking for all topics of a large cluster each second is not. */
  private async lately(signal: AbortSignal): Promise<readonly Partition[]> {
    const now = this.context.clock.monotonic();
    if (this.looked === null || now > this.looked.until)
      this.looked = {
        partitions: await this.partitions(signal, (await this.outputOr()).own),
        until: now + this.pace.lookEveryMs,
      };
    return this.looked.partitions;
  }

  private async *batches(from: Positions, signal: AbortSignal): AsyncGenerator<ChangeBatch> {
    const { cluster, config, context, pace } = this;
    const { onLostPosition: decision, clock, log, share = WHOLE } = context;
    // Whoever reads a share is not the first to read: what has no position came later.
    const begun = share.of === 1 || from.has(NOTEBOOK) ? from : new Map([...from, [NOTEBOOK, encodeStarts(new Map())]]);
    const given = decision === null ? null : { decision, positions: (await context.abandoned?.()) ?? from };
    const { places, starts, before } = await openPartitions({
      ...{ cluster, config, partitions: await this.outOfCircles(signal), from: begun, given, signal },
    });
    const reading = (this.reading = new Reading({
      cluster,
      config,
      clock,
      log,
      user: this.settings.sasl?.username ?? null,
      before,
      patienceMs: pace.patienceMs,
    }));
    signal.addEventListener('abort', () => reading.close(), { once: true });
    reading.add(places);
    this.group.begins(places);
    if (starts !== null) yield { partition: NOTEBOOK, events: [], position: encodeStarts(starts) };
    // Invariant 2: given up once. With places of its own in the log the decision is not carried out a second time.
    if (given !== null)
      for (const { leaderEpoch, offset, topicId, ...at } of places)
        yield { partition: partitionName(at), events: [], position: encodePosition({ topicId, offset, leaderEpoch }) };
    yield CONNECTED;
    const schemas = this.schemas();
    const encode = new Batches({
      ...{ format: config.format, registry: schemas === null ? null : new Registry(schemas) },
      ...{ log, streamId: context.streamId, setAside: context.setAside },
    });
    let lookAt = clock.monotonic() + pace.lookEveryMs;
    let failingSince: number | null = null;
    while (!signal.aborted) {
      const chunk = await reading.next(IDLE_MS);
      if (chunk !== null)
        for await (const batch of encode.of(chunk)) {
          this.handed.add(batch);
          yield batch;
        }
      if (clock.monotonic() < lookAt || signal.aborted) continue;
      try {
        reading.add(await this.late(reading, signal));
        failingSince = null;
      } catch (error) {
        // As long as the reader follows a broker that is gone, so does this.
        const { code } = toStreamError(error, 'looking for partitions');
        failingSince ??= clock.monotonic();
        if (code !== 'source_unreachable' || clock.monotonic() - failingSince > pace.patienceMs) throw error;
      }
      lookAt = clock.monotonic() + pace.lookEveryMs;
    }
  }

  private schemas(): SchemaSource | null {
    const { schema_registry: settings } = this.config;
    return settings === undefined ? null : new SchemaSource(settings, this.context.outbound);
  }

  /** Topics and partitions that came since. */
  private async late(reading: Reading, signal: AbortSignal) {
    const { cluster } = this;
    const partitions = (await this.outOfCircles(signal)).filter((one) => !reading.reads(partitionName(one)));
    return partitions.length === 0 ? [] : latecomers({ cluster, partitions, known: reading.known, signal });
  }
}
