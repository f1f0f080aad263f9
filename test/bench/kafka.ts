/**
 * The log in Kafka: our sink beside Java's `ProducerPerformance` with records of the same size, both in transactions;
 * topics as a source: our reader beside Java's `ConsumerPerformance`, both of what is committed and with nobody behind them; and the whole path from
 * Postgres beside the same WAL read to nowhere.
 */
import { NO_ORDERS, systemClock, type ChangeBatch, type ChangeEvent, type Log } from '@planasonix/core';
import { createOutbound } from '@planasonix/outbound';
import { openLog } from '@planasonix/sinks';
import { createTopics, eventually, startKafka, type Kafka } from '@planasonix/testing';
import { Kafka as KafkaClient, logLevel } from 'kafkajs';
import { kafkaIngest } from '../../apps/kafka-ingest/src/source-type.js';
import { CloudEventEncoder, keyOf } from '../../libs/sinks/src/kafka/cloud-event.js';
import { until } from '../shop.js';
import { javaConsumer, javaProducer } from './kafka-java.js';
import { perMillion, round, stopwatch } from './measure.js';
import { profileOfWorker } from './profile.js';
import { readSlot } from './reference.js';
import { rows, slotOf, TABLE, type Scene } from './scene.js';

/** So many that Java's start and its compiler are a small part. */
const RECORDS = 1_000_000;
const ROWS = 600_000;
const PER_TRANSACTION = 100;
const BATCH = 500;
const IN_FLIGHT = 8;
const SIZES = [300, 1_000] as const;
const PARTITIONS = [1, 6] as const;
const silent: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const output = {
  type: 'kafka',
  topic: 'bench.{stream}',
  createTopics: { partitions: 1, replicationFactor: 1 },
} as const;

const logOf = (kafka: Kafka, partitions: number) =>
  openLog(
    { ...output, connectionId: 'conn', createTopics: { partitions, replicationFactor: 1 } },
    {
      redisUrl: 'redis://127.0.0.1:1',
      clock: systemClock,
      kafka: {
        settings: () => Promise.resolve({ id: 'conn', type: 'kafka', config: { brokers: kafka.brokers } }),
        outbound: createOutbound({ policy: 'allow-private' }),
        log: silent,
      },
    },
  );

const streamOf = (partitions: number, recordBytes: number): string => `str_${partitions}_${recordBytes}`;

const eventOf = (n: number, data: Buffer): ChangeEvent => ({
  id: `1mlarf1n9bzpc-1-${n.toString(16).padStart(16, '0')}-00000000`,
  type: 'com.planasonix.row.insert',
  subject: 'public.b',
  time: '2026-01-01T00:00:00.000000Z',
  timeMs: 1_767_225_600_000,
  partitionkey: `{"id":${n}}`,
  data,
  order: n.toString(16).padStart(16, '0'),
});

/** Data with which key, headers and value of its record are so many bytes: Java's record is a value of that size alone. */
function filling(streamId: string, bare: ChangeEvent, recordBytes: number): Buffer {
  const key = keyOf(bare);
  const [record] = new CloudEventEncoder(streamId, false).records(bare, key);
  const around = record!.headers.reduce((sum, { bytes }) => sum + bytes.length, key?.length ?? 0);
  if (around >= recordBytes) throw new Error(`an event without data is ${around} bytes already`);
  return Buffer.alloc(recordBytes - around, 'x');
}

/** As the engine calls it: batches of whole commits, so many of them under way. Records per second. */
async function ours(kafka: Kafka, partitions: number, recordBytes: number): Promise<number> {
  const log = logOf(kafka, partitions);
  const streamId = streamOf(partitions, recordBytes);
  const sink = log.sink(streamId, 1);
  await sink.open();
  const data = new Map<number, Buffer>();
  const event = (n: number): ChangeEvent => {
    const bare = eventOf(n, Buffer.alloc(0));
    const { length } = bare.partitionkey;
    if (!data.has(length)) data.set(length, filling(streamId, bare, recordBytes));
    return eventOf(n, data.get(length)!);
  };
  const signal = new AbortController().signal;
  let next = 0;
  const one = async (): Promise<void> => {
    while (next < RECORDS) {
      const from = next;
      next += BATCH;
      const events = Array.from({ length: BATCH }, (_, i) => event(from + i));
      const batch: ChangeBatch = { partition: '', events, position: String(next) };
      await sink.append(batch, signal);
    }
  };
  const began = performance.now();
  await Promise.all(Array.from({ length: IN_FLIGHT }, one));
  const seconds = (performance.now() - began) / 1000;
  await sink.close();
  await log.close();
  return RECORDS / seconds;
}

async function producing(kafka: Kafka): Promise<Record<string, object>> {
  const found: Record<string, object> = {};
  for (const recordBytes of SIZES)
    for (const partitions of PARTITIONS) {
      const name = `${recordBytes} B, ${partitions} partition${partitions > 1 ? 's' : ''}`;
      const mine = await ours(kafka, partitions, recordBytes);
      const topic = `bench.${streamOf(partitions, recordBytes)}`;
      const java = await javaProducer({
        topic,
        records: RECORDS,
        recordBytes,
        brokers: kafka.brokers,
        transactionMs: 50,
      });
      found[name] = { ours_per_s: round(mine, 0), java_per_s: round(java, 0), ratio: round(mine / java, 2) };
    }
  return found;
}

/** The connector's own reader with nobody behind it: records to events. Records per second, from its first batch on. */
async function consumed(kafka: Kafka, topic: string): Promise<number> {
  const source = kafkaIngest.create({
    streamId: 'str_bench',
    streamName: 'nothing',
    config: { topics: [topic] },
    connection: { id: 'conn', type: 'kafka', config: { brokers: kafka.brokers } },
    outbound: createOutbound({ policy: 'allow-private' }),
    owned: {},
    remember: () => Promise.resolve(),
    orders: NO_ORDERS,
    onLostPosition: null,
    clock: systemClock,
    log: silent,
  });
  const stop = new AbortController();
  let began: number | null = null;
  let [first, read] = [0, 0];
  for await (const { events } of source.read(new Map(), stop.signal)) {
    if (began === null && events.length > 0) {
      began = performance.now();
      first = events.length;
    }
    read += events.length;
    if (read >= RECORDS) break;
  }
  const seconds = (performance.now() - began!) / 1000;
  stop.abort();
  await source.close();
  return (read - first) / seconds;
}

async function consuming(kafka: Kafka): Promise<Record<string, object>> {
  const found: Record<string, object> = {};
  const admin = new KafkaClient({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  for (const recordBytes of SIZES)
    for (const partitions of PARTITIONS) {
      const topic = `consumed.${partitions}.${recordBytes}`;
      await createTopics(admin, [{ topic, numPartitions: partitions }]);
      const { brokers } = kafka;
      await javaProducer({ topic, records: RECORDS, recordBytes, brokers, transactionMs: 50 });
      const java = await javaConsumer({ topic, records: RECORDS, brokers });
      const mine = await consumed(kafka, topic);
      found[`${recordBytes} B, ${partitions} partition${partitions > 1 ? 's' : ''}`] = {
        ...{ ours_per_s: round(mine, 0), java_per_s: round(java, 0), ratio: round(mine / java, 2) },
      };
    }
  await admin.disconnect();
  return found;
}

async function path(scene: Scene, kafka: Kafka): Promise<object> {
  const { source, stack, postgres } = scene;
  const call = async (method: string, route: string, body?: unknown) => {
    const answer = await stack.api(method, route, body);
    if (answer.status > 299) throw new Error(`${route}: ${answer.status} ${answer.text}`);
    return answer;
  };
  const config = { brokers: kafka.brokers };
  const { id: connectionId } = await call('POST', '/api/connections', { name: 'kafka', type: 'kafka', config });
  const { id: pipelineId } = await call('POST', '/api/pipelines', {
    name: 'kafka',
    output: { ...output, connectionId },
  });
  await source.query(`CREATE TABLE kdrain ${TABLE}`);
  await source.query('CREATE PUBLICATION bench_ref_pub FOR TABLE kdrain');
  const streamed = await scene.create('kafka', { tables: ['public.kdrain'], snapshot: 'never' });
  const made = await call('GET', `/api/streams/${streamed}`);
  await call('DELETE', `/api/streams/${streamed}`);
  const { id } = await call('POST', '/api/streams', {
    name: 'into kafka',
    sourceType: 'postgres_cdc',
    connectionId: made.a.connection_id as string,
    pipelineId,
    config: { tables: ['public.kdrain'], snapshot: 'never' },
  });
  await call('POST', `/api/streams/${id}/start`);
  await until(stack, id, 'running', 60_000);
  await slotOf(source, id);
  await call('POST', `/api/streams/${id}/stop`);
  await source.query("SELECT pg_create_logical_replication_slot('bench_ref', 'pgoutput')");
  await source.query(
    `CREATE PROCEDURE kfill() LANGUAGE plpgsql AS $$ DECLARE at bigint := 1; BEGIN WHILE at <= ${ROWS} LOOP ${rows('kdrain', 'at', `at + ${PER_TRANSACTION - 1}`)}; COMMIT; at := at + ${PER_TRANSACTION}; END LOOP; END $$`,
  );
  await source.query('CALL kfill()');
  const end = (await source.query<{ lsn: string }>('SELECT pg_current_wal_lsn() AS lsn')).rows[0]!.lsn;
  const reference = await readSlot(postgres, 'bench_ref', 'bench_ref_pub', end);
  const log = logOf(kafka, 1);
  const watch = stopwatch({ worker: stack.pids('postgres-cdc'), kafka: kafka.nodes.map(({ pid }) => pid) });
  await call('POST', `/api/streams/${id}/start`);
  const profile = profileOfWorker(stack.pids('postgres-cdc')[0]);
  await eventually('all rows are in the log', async () => (await log.depth(id)) >= ROWS, {
    timeoutMs: 300_000,
    everyMs: 250,
  });
  const { seconds, cpu } = watch.read();
  await log.close();
  return {
    rows: ROWS,
    reference: reference.what,
    reference_rows_per_s: round(ROWS / reference.seconds, 0),
    ours_rows_per_s: round(ROWS / seconds, 0),
    ratio: round(reference.seconds / seconds, 2),
    cpu_s_per_million: perMillion(cpu, ROWS),
    ...(await profile()),
  };
}

export async function kafka(scene: Scene): Promise<object> {
  const server = await startKafka({ jvm: ['-Xms1g', '-Xmx1g'] });
  try {
    return {
      part: 'kafka',
      producing: await producing(server),
      consuming: await consuming(server),
      postgres_to_kafka: await path(scene, server),
      aim: '0.5 of ProducerPerformance; 1.0 of ConsumerPerformance; 0.5 of pg_recvlogical',
    };
  } finally {
    await server.stop();
  }
}
