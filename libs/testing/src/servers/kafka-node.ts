import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { javaProgram, kafkaJars } from './kafka-files.js';
import { type ServerProcess, spawnServer } from './process.js';

/** One node of a cluster: broker and controller in one process. */
export interface KafkaNode {
  readonly id: number;
  /** Without TLS and without a login. */
  readonly port: number;
  readonly pid: number;
  readonly running: boolean;
  /** SIGKILL, as in a crash. `start` brings it back with what was on disk. */
  kill(): Promise<void>;
  /** SIGTERM: leadership is handed over first. `start` brings it back. */
  shutDown(): Promise<void>;
  start(): Promise<void>;
  /** SIGSTOP: connections stay open and nothing answers, until `thaw`. */
  freeze(): void;
  thaw(): void;
}

export interface NodePlan {
  readonly id: number;
  readonly dir: string;
  readonly port: number;
  readonly clusterId: string;
  /** `server.properties`, in order: the last one wins. */
  readonly properties: readonly (readonly [name: string, value: string])[];
  /** Arguments of the storage tool for users who log in by SCRAM. */
  readonly scram: readonly string[];
  readonly jvm: readonly string[];
}

const START_MS = 90_000;

/** Kafka opens a client port only when the node can serve. */
const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    const say = (yes: boolean) => {
      socket.destroy();
      resolve(yes);
    };
    socket.setTimeout(2000, () => say(false));
    socket.once('error', () => say(false));
    socket.once('connect', () => say(true));
  });

/** Writes the node's settings and formats its storage, once. */
async function prepare(plan: NodePlan, jars: string): Promise<string> {
  mkdirSync(plan.dir, { recursive: true });
  const settings = join(plan.dir, 'server.properties');
  writeFileSync(settings, plan.properties.map(([name, value]) => `${name}=${value}\n`).join(''), { mode: 0o600 });
  if (existsSync(join(plan.dir, 'log', 'meta.properties'))) return settings;
  const tool = [...plan.jvm, '-cp', join(jars, '*'), 'kafka.tools.StorageTool'];
  await promisify(execFile)(javaProgram(), [...tool, 'format', '-t', plan.clusterId, '-c', settings, ...plan.scram]);
  return settings;
}

/** A node that has not been started. */
export async function planNode(plan: NodePlan): Promise<KafkaNode> {
  const jars = await kafkaJars();
  const settings = await prepare(plan, jars);
  let server: ServerProcess | null = null;

  async function start(): Promise<void> {
    if (server?.running) return;
    const args = [...plan.jvm, '-cp', join(jars, '*'), 'kafka.Kafka', settings];
    const logFile = join(plan.dir, 'server.log');
    const started = await spawnServer(javaProgram(), args, { logFile, cwd: plan.dir, guard: 'KILL' });
    server = started;
    const deadline = Date.now() + START_MS;
    while (started.running && !(await answers(plan.port))) {
      if (Date.now() > deadline) await started.end('SIGKILL');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    if (!started.running) throw new Error(`Kafka did not start:\n${started.tail()}`);
  }

  return {
    id: plan.id,
    port: plan.port,
    get pid() {
      return server!.pid;
    },
    get running() {
      return server?.running ?? false;
    },
    kill: async () => server?.end('SIGKILL'),
    shutDown: async () => server?.end('SIGTERM'),
    start,
    freeze: () => void process.kill(server!.pid, 'SIGSTOP'),
    thaw: () => void process.kill(server!.pid, 'SIGCONT'),
  };
}
