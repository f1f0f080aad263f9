/** Kafka's own `ProducerPerformance` and `ConsumerPerformance`, as the references of producing and consuming. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kafkaJars } from '@planasonix/testing';

/** The newest that there is; it runs with the jars of newer brokers. It brings half of Connect along, so it comes alone. */
const TOOLS = 'org.apache.kafka:kafka-tools:4.3.1';
const COPY = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy';

interface JavaRun {
  readonly topic: string;
  readonly records: number;
  readonly brokers: readonly string[];
}

export interface Producing extends JavaRun {
  readonly recordBytes: number;
  /** Ms of one transaction. */
  readonly transactionMs: number;
}

let tools: string | null = null;

/** Where the tools lie, fetched once for all runs. @throws where Maven can't do it */
function toolsDir(): string {
  if (tools !== null) return tools;
  const dir = mkdtempSync(join(tmpdir(), 'planasonix-tools-'));
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
  const fetched = spawnSync('mvn', ['-q', '-B', COPY, `-Dartifact=${TOOLS}`, `-DoutputDirectory=${dir}`]);
  if (fetched.status !== 0) throw new Error(`Maven could not fetch ${TOOLS}`);
  return (tools = dir);
}

/** Runs one of Kafka's tools. @param config properties that it takes in a file alone. @returns what it prints */
async function tool(name: string, args: readonly string[], config: readonly string[] = []): Promise<string> {
  const [jars, dir] = [await kafkaJars(), toolsDir()];
  const main = ['-Xmx512m', '-cp', `${jars}/*:${dir}/*`, `org.apache.kafka.tools.${name}`];
  const file = join(dir, 'client.properties');
  writeFileSync(file, config.join('\n'));
  const given = config.length === 0 ? [] : ['--command-config', file];
  const java = spawnSync('java', [...main, ...args, ...given], { encoding: 'utf8' });
  if (java.status !== 0) throw new Error(`${name} failed: ${java.stderr.slice(-500)}`);
  return java.stdout.trim();
}

/** Records per second. */
export async function javaProducer(of: Producing): Promise<number> {
  const props = [`bootstrap.servers=${of.brokers.join(',')}`, 'acks=all', 'batch.size=500000', 'linger.ms=5'];
  const said = await tool('ProducerPerformance', [
    ...['--topic', of.topic, '--num-records', String(of.records), '--record-size', String(of.recordBytes)],
    ...['--throughput', '-1', '--transaction-duration-ms', String(of.transactionMs), '--producer-props', ...props],
  ]);
  const rate = /([\d.]+) records\/sec/.exec(said.split('\n').at(-1)!)?.[1];
  if (rate === undefined) throw new Error(`ProducerPerformance said ${said.slice(-500)}`);
  return Number(rate);
}

/** Records per second, once the consumer has its partitions; those of transactions that are committed, as our reader. */
export async function javaConsumer(of: JavaRun): Promise<number> {
  const args = [
    ...['--bootstrap-server', of.brokers.join(','), '--topic', of.topic, '--num-records', String(of.records)],
    ...['--timeout', '60000', '--hide-header'],
  ];
  const said = await tool('ConsumerPerformance', args, ['isolation.level=read_committed']);
  const rate = Number(said.split('\n').at(-1)!.split(',').at(-1));
  if (!(rate > 0)) throw new Error(`ConsumerPerformance said ${said.slice(-500)}`);
  return rate;
}
