import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { guardFolder } from './guard.js';
import { keytoolProgram } from './kafka-files.js';
import { type KafkaNode, type NodePlan, planNode } from './kafka-node.js';
import { smallJvm } from './kafka-jvm.js';
import { freePort } from './port.js';

export interface KafkaOptions {
  /** With three: replication 3, two in sync at the least. Default: 1. */
  readonly nodes?: 1 | 3;
  /** A listener with TLS and SASL (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512) beside the plain one. */
  readonly secure?: boolean;
  /** On top of the defaults: `{ 'log.retention.ms': '1000' }`. */
  readonly properties?: Readonly<Record<string, string>>;
  /**
   * What a node tells clients its plain address is, as `host:port`; such as a proxy in front of `port`. Nodes reach each other,
   * and themselves, past it.
   */
  readonly advertise?: (port: number, id: number) => string | Promise<string>;
  /** A folder that stays. Default: a temporary one that goes with the cluster. */
  readonly dir?: string;
  readonly jvm?: readonly string[];
}

export interface Kafka {
  /** `host:port` of every node, without TLS and without a login. */
  readonly brokers: readonly string[];
  /** The same past `advertise`: where the nodes reach each other. */
  readonly directBrokers: readonly string[];
  /** With `secure`: the listener that wants TLS and a login. */
  readonly secureBrokers: readonly string[];
  /** With `secure`: the login, and the certificate to trust (PEM), for localhost and 127.0.0.1. */
  readonly login: { readonly username: string; readonly password: string; readonly ca: string };
  readonly nodes: readonly KafkaNode[];
  readonly dir: string;
  /** Ends every node; a temporary folder goes with them. */
  stop(): Promise<void>;
}

interface Ports {
  readonly client: number;
  readonly controller: number;
  readonly secure: number;
  readonly internal: number;
}

const USER = 'test';
const PASSWORD = 'test-secret';
const LOGIN_MODULES = 'org.apache.kafka.common.security';

/** Made once per folder. */
function certificate(dir: string): string {
  const ca = join(dir, 'ca.pem');
  if (!existsSync(ca)) {
    const key = ['-keystore', join(dir, 'key.p12'), '-storepass', PASSWORD, '-alias', 'kafka'];
    const name = ['-dname', 'CN=localhost', '-ext', 'san=dns:localhost,ip:127.0.0.1'];
    const keytool = keytoolProgram();
    execFileSync(keytool, ['-genkeypair', ...key, '-keyalg', 'EC', '-validity', '3650', ...name], { stdio: 'ignore' });
    execFileSync(keytool, ['-exportcert', '-rfc', ...key, '-file', ca], { stdio: 'ignore' });
  }
  return readFileSync(ca, 'utf8');
}

function clusterIdOf(dir: string): string {
  const file = join(dir, 'id');
  if (!existsSync(file)) writeFileSync(file, `A${randomBytes(16).toString('base64url').slice(1, 22)}`);
  return readFileSync(file, 'utf8');
}

const secureProperties = (dir: string): readonly (readonly [string, string])[] => [
  ['ssl.keystore.location', join(dir, 'key.p12')],
  ['ssl.keystore.password', PASSWORD],
  ['sasl.enabled.mechanisms', 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512'],
  [
    'listener.name.secure.plain.sasl.jaas.config',
    `${LOGIN_MODULES}.plain.PlainLoginModule required user_${USER}="${PASSWORD}";`,
  ],
  ...['256', '512'].map(
    (bits) =>
      [
        `listener.name.secure.scram-sha-${bits}.sasl.jaas.config`,
        `${LOGIN_MODULES}.scram.ScramLoginModule required;`,
      ] as const,
  ),
];

/** Nothing is made by accident, groups form at once, and a dead node is noticed within 3 s. */
const clusterProperties = (nodes: number): readonly (readonly [string, string])[] => [
  ['auto.create.topics.enable', 'false'],
  ['offsets.topic.num.partitions', '4'],
  ['transaction.state.log.num.partitions', '4'],
  ['default.replication.factor', String(nodes)],
  ['offsets.topic.replication.factor', String(nodes)],
  ['transaction.state.log.replication.factor', String(nodes)],
  ['min.insync.replicas', String((nodes + 1) / 2)],
  ['transaction.state.log.min.isr', String((nodes + 1) / 2)],
  ['group.initial.rebalance.delay.ms', '0'],
  ['group.min.session.timeout.ms', '1000'],
  ['broker.heartbeat.interval.ms', '500'],
  ['broker.session.timeout.ms', '3000'],
  // Kafka's default of 128 MB is zeroed at each start.
  ['log.cleaner.dedupe.buffer.size', '16777216'],
];

async function nodePlans(dir: string, options: KafkaOptions): Promise<readonly NodePlan[]> {
  const count = options.nodes ?? 1;
  const ports: Ports[] = [];
  for (let index = 0; index < count; index++)
    ports.push({
      ...{ client: await freePort(), controller: await freePort() },
      ...{ secure: await freePort(), internal: await freePort() },
    });
  const voters = ports.map(({ controller }, index) => `${index + 1}@127.0.0.1:${controller}`).join(',');
  const clusterId = clusterIdOf(dir);
  if (options.secure) certificate(dir);
  return Promise.all(
    ports.map(async ({ client, controller, secure, internal }, index): Promise<NodePlan> => {
      const id = index + 1;
      const nodeDir = join(dir, `node${id}`);
      const advertised = (await options.advertise?.(client, id)) ?? `127.0.0.1:${client}`;
      const between = options.advertise ? `,INTERNAL://127.0.0.1:${internal}` : '';
      const secured = options.secure ? `,SECURE://127.0.0.1:${secure}` : '';
      return {
        id,
        dir: nodeDir,
        port: client,
        clusterId,
        jvm: options.jvm ?? smallJvm(),
        scram: options.secure
          ? ['256', '512'].flatMap((bits) => ['-S', `SCRAM-SHA-${bits}=[name=${USER},password=${PASSWORD}]`])
          : [],
        properties: [
          ['process.roles', 'broker,controller'],
          ['node.id', String(id)],
          ['log.dirs', join(nodeDir, 'log')],
          ['controller.quorum.voters', voters],
          ['controller.listener.names', 'CONTROLLER'],
          [
            'listener.security.protocol.map',
            'PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL',
          ],
          ['listeners', `PLAINTEXT://127.0.0.1:${client},CONTROLLER://127.0.0.1:${controller}${between}${secured}`],
          ['advertised.listeners', `PLAINTEXT://${advertised}${between}${secured}`],
          ['inter.broker.listener.name', options.advertise ? 'INTERNAL' : 'PLAINTEXT'],
          ...(options.secure ? secureProperties(dir) : []),
          ...clusterProperties(count),
          ...Object.entries(options.properties ?? {}),
        ],
      };
    }),
  );
}

const addressOf = (plan: NodePlan, listener: 'SECURE' | 'INTERNAL'): string | undefined =>
  new RegExp(`${listener}://([^,]+)`).exec(plan.properties.find(([name]) => name === 'listeners')![1])?.[1];

/**
 * A real Apache Kafka 4 (KRaft) on 127.0.0.1, from Apache's jars. Topics are not created by themselves. A node that is
 * killed comes back with `start` on the same data and ports.
 */
export async function startKafka(options: KafkaOptions = {}): Promise<Kafka> {
  const dir = options.dir ?? mkdtempSync(join(tmpdir(), 'planasonix-kafka-'));
  mkdirSync(dir, { recursive: true });
  const release = options.dir ? () => undefined : guardFolder(dir);
  for (let attempt = 0; ; attempt++) {
    const plans = await nodePlans(dir, options);
    const nodes = await Promise.all(plans.map(planNode));
    const started = await Promise.allSettled(nodes.map((node) => node.start()));
    const failed = started.find((result) => result.status === 'rejected');
    if (failed === undefined)
      return {
        brokers: plans.map(({ port }) => `127.0.0.1:${port}`),
        directBrokers: plans.map((plan) => addressOf(plan, 'INTERNAL') ?? `127.0.0.1:${plan.port}`),
        secureBrokers: options.secure ? plans.map((plan) => addressOf(plan, 'SECURE')!) : [],
        login: { username: USER, password: PASSWORD, ca: options.secure ? certificate(dir) : '' },
        nodes,
        dir,
        async stop() {
          // Data that goes with the cluster needs no farewell.
          await Promise.all(nodes.map((node) => (options.dir ? node.shutDown() : node.kill())));
          if (options.dir) return;
          rmSync(dir, { recursive: true, force: true });
          release();
        },
      };
    await Promise.all(nodes.map((node) => node.kill()));
    // Somebody was quicker at one of the ports.
    if (attempt === 4 || !/BindException|in use/.test(String(failed.reason))) throw failed.reason;
  }
}
