/** A log in Kafka: the cluster behind networks of its own, and what librdkafka reads of it, committed transactions alone. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { guardProcess, kcatProgram, startKafka, startProxy, type Kafka, type Proxy } from '@planasonix/testing';
import { ConfigResourceTypes, Kafka as Client, logLevel, type Admin } from 'kafkajs';
import type { LogEvent } from '../log.js';
import type { Read, SceneLog } from './scene-log.js';

/** As kcat writes a record with `-J`; headers are name, value, name, value, … */
interface Line {
  readonly offset: number;
  readonly headers: readonly string[];
  readonly payload: string;
}

const AGAIN_MS = 200;
/** Events that are handed on at once. */
const PAGE = 1000;
/** That it meets an error ends kcat: another one goes on where it was. */
const PATIENT = [
  ...['isolation.level=read_committed', 'reconnect.backoff.ms=50', 'reconnect.backoff.max.ms=500'],
  ...['topic.metadata.refresh.interval.ms=1000', 'socket.timeout.ms=5000'],
  // A node that led, was frozen and wakes up does not have our offset yet: by itself librdkafka would go on at the end.
  'auto.offset.reset=error',
].flatMap((setting) => ['-X', setting]);

const topicOf = (streamId: string): string => `battery.${streamId}`;

function eventOf(text: string): LogEvent {
  const { offset, headers, payload } = JSON.parse(text) as Line;
  const attribute = (name: string): string => {
    const at = headers.findIndex((header, i) => i % 2 === 0 && header === `ce_${name}`);
    return at < 0 ? '' : headers[at + 1]!;
  };
  return {
    ...{ entry: String(offset), id: attribute('id'), type: attribute('type'), subject: attribute('subject') },
    ...{ time: attribute('time'), partitionkey: attribute('partitionkey'), source: attribute('source') },
    ...{ text: payload, data: JSON.parse(payload) as LogEvent['data'] },
  };
}

export class KafkaScene implements SceneLog {
  readonly #came: Read[] = [];
  #reader: ChildProcess | null = null;
  #next = 0;
  #ended = false;

  private constructor(
    readonly server: Kafka,
    /** In front of each node; none where there are three, which talk to each other by the same addresses. */
    readonly network: readonly Proxy[],
    /** Past the networks, as is all that reads here. */
    readonly admin: Admin,
  ) {}

  static async open(nodes: 1 | 3): Promise<KafkaScene> {
    const network: Proxy[] = [];
    const advertise = async (targetPort: number): Promise<string> => {
      const proxy = await startProxy({ targetPort });
      network.push(proxy);
      return `127.0.0.1:${proxy.port}`;
    };
    const server = await startKafka({ nodes, ...(nodes === 1 ? { advertise } : {}) });
    const admin = new Client({ brokers: [...server.directBrokers], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    return new KafkaScene(server, network, admin);
  }

  /** What the product is told to dial. */
  get brokers(): readonly string[] {
    return this.network.length > 0 ? this.network.map(({ port }) => `127.0.0.1:${port}`) : this.server.brokers;
  }

  output(connectionId: string): object {
    const createTopics = { partitions: 1, replicationFactor: this.server.nodes.length };
    return { type: 'kafka', connectionId, topic: 'battery.{stream}', createTopics };
  }

  /** The node that leads a partition; -1 while there is none. */
  async leader(topic: string, partition = 0): Promise<number> {
    const { topics } = await this.admin.fetchTopicMetadata({ topics: [topic] });
    return topics[0]!.partitions.find(({ partitionId }) => partitionId === partition)?.leader ?? -1;
  }

  topicOf(streamId: string): string {
    return topicOf(streamId);
  }

  read(streamId: string): Promise<readonly Read[]> {
    if (this.#reader === null) this.#follow(topicOf(streamId));
    return Promise.resolve(this.#came.splice(0));
  }

  again(): void {
    throw new Error('a log in Kafka is not read anew');
  }

  async *pages(streamId: string, after: string | null): AsyncGenerator<readonly LogEvent[]> {
    const from = after === null ? 'beginning' : String(Number(after) + 1);
    const args = ['-b', this.server.directBrokers.join(','), '-C', '-t', topicOf(streamId), '-p', '0', '-o', from];
    const child = spawn(kcatProgram(), [...args, '-e', '-q', '-J', ...PATIENT], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const release = child.pid ? guardProcess(child.pid) : () => undefined;
    try {
      const page: LogEvent[] = [];
      for await (const line of createInterface({ input: child.stdout })) {
        page.push(eventOf(line));
        if (page.length === PAGE) yield page.splice(0);
      }
      yield page;
    } finally {
      child.kill('SIGKILL');
      release();
    }
  }

  /** What bars others stays for a minute, without what was in it. */
  readonly purged = ['expires', 'gone'] as const;

  /** Topics with events are the user's: what goes is what the product made for itself. */
  async fate(streamId: string) {
    const topic = `planasonix.positions.${streamId}`;
    if (!(await this.admin.listTopics()).includes(topic)) return 'gone' as const;
    const { resources } = await this.admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configNames: ['cleanup.policy'] }],
    });
    return resources[0]!.configEntries[0]?.configValue === 'delete' ? ('expires' as const) : ('kept' as const);
  }

  trim(): Promise<void> {
    return Promise.resolve();
  }

  async end(): Promise<void> {
    this.#ended = true;
    this.#reader?.kill('SIGKILL');
    await this.admin.disconnect().catch(() => undefined);
    await this.server.stop();
    await Promise.all(this.network.map((proxy) => proxy.stop()));
  }

  /** One that ends, as it does over some failures, is followed by another one that goes on where it was. */
  #follow(topic: string): void {
    const args = ['-b', this.server.directBrokers.join(','), '-C', '-t', topic, '-p', '0', '-o', String(this.#next)];
    const child = spawn(kcatProgram(), [...args, '-q', '-J', '-u', ...PATIENT], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.#reader = child;
    const release = child.pid ? guardProcess(child.pid) : () => undefined;
    const lines = createInterface({ input: child.stdout });
    lines.on('line', (line) => {
      const event = eventOf(line);
      const offset = Number(event.entry);
      if (offset < this.#next) return;
      this.#next = offset + 1;
      this.#came.push({ event, durableAt: Date.now() });
    });
    lines.once('close', () => {
      release();
      if (!this.#ended) setTimeout(() => this.#ended || this.#follow(topic), AGAIN_MS).unref();
    });
  }
}
