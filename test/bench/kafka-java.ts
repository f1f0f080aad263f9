/** Kafka's own `ProducerPerformance`, as the reference of producing. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kafkaJars } from '@planasonix/testing';

/** The newest that there is; it runs with the jars of newer brokers. It brings half of Connect along, so it comes alone. */
const TOOLS = 'org.apache.kafka:kafka-tools:4.3.1';
const COPY = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy';

export interface JavaRun {
  readonly topic: string;
  readonly records: number;
  readonly recordBytes: number;
  readonly brokers: readonly string[];
  /** Ms of one transaction. */
  readonly transactionMs: number;
}

/** Records per second. @throws where Maven or Java can't do it */
export async function javaProducer(of: JavaRun): Promise<number> {
  const jars = await kafkaJars();
  const dir = mkdtempSync(join(tmpdir(), 'planasonix-tools-'));
  const fetched = spawnSync('mvn', ['-q', '-B', COPY, `-Dartifact=${TOOLS}`, `-DoutputDirectory=${dir}`]);
  if (fetched.status !== 0) throw new Error(`Maven could not fetch ${TOOLS}`);
  const props = [`bootstrap.servers=${of.brokers.join(',')}`, 'acks=all', 'batch.size=500000', 'linger.ms=5'];
  const args = ['--topic', of.topic, '--num-records', String(of.records), '--record-size', String(of.recordBytes)];
  const java = spawnSync(
    'java',
    [
      ...['-Xmx512m', '-cp', `${jars}/*:${dir}/*`, 'org.apache.kafka.tools.ProducerPerformance', ...args],
      ...['--throughput', '-1', '--transaction-duration-ms', String(of.transactionMs), '--producer-props', ...props],
    ],
    { encoding: 'utf8' },
  );
  const last = java.stdout.trim().split('\n').at(-1) ?? '';
  const rate = /([\d.]+) records\/sec/.exec(last)?.[1];
  if (rate === undefined) throw new Error(`ProducerPerformance failed: ${java.stderr.slice(-500)}`);
  return Number(rate);
}
