/**
 * The product from outside: `npm start` as a child process over servers that the caller started, and its REST API.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { eventually, freePort, processOf } from '@planasonix/testing';

/** The checkout: tests and benchmarks run from its top. */
const ROOT = process.cwd();

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // Untyped on purpose: this is JSON from outside, and the assertions are what gives it a shape.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly json: any;
  /** `data.attributes` */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly a: any;
  readonly id: string;
}

export interface Stack {
  readonly base: string;
  readonly key: string;
  readonly logFile: string;
  log(): string;
  api(method: string, route: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  /** Pids of the processes of one app, such as `postgres-cdc`. */
  pids(app: string): number[];
  exited(): boolean;
  stop(): Promise<void>;
}

export interface StackOptions {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** 256 bits in the form that keys have; only ever known to the servers of one test. */
export const TEST_KEY = `plnx_live_${'k0'.repeat(22).slice(0, 43)}`;

/** Of these stacks. */
export const ENCRYPTION_KEY = Buffer.alloc(32, 7).toString('base64');

export async function startStack(options: StackOptions): Promise<Stack> {
  const [port, ingest] = [await freePort(), await freePort()];
  const logFile = path.join(mkdtempSync(path.join(tmpdir(), 'planasonix-log-')), 'stack.log');
  const out = openSync(logFile, 'a');
  const child = spawn(process.execPath, [path.join(ROOT, 'apps/standalone/run.mjs'), 'start'], {
    cwd: ROOT,
    detached: true,
    stdio: ['ignore', out, out],
    env: {
      ...process.env,
      DATABASE_URL: options.databaseUrl,
      REDIS_URL: options.redisUrl,
      HOST: '127.0.0.1',
      PORT: String(port),
      INGEST_PORT: String(ingest),
      PLANASONIX_API_KEY: TEST_KEY,
      ENCRYPTION_KEY,
      OUTBOUND_POLICY: 'allow-private',
      RATE_LIMIT_PER_MINUTE: '1000000',
      NODE_ENV: 'development',
      ...options.env,
    },
  });
  const base = `http://127.0.0.1:${port}`;
  const stack: Stack = {
    base,
    key: TEST_KEY,
    logFile,
    log: () => readFileSync(logFile, 'utf8'),
    api: (method, route, body, headers) => request(base, TEST_KEY, method, route, body, headers),
    pids: (app) => descendants(child.pid!).filter((pid) => commandLine(pid).includes(`dist/${app}/main.cjs`)),
    exited: () => child.exitCode !== null || child.signalCode !== null,
    stop: () => stopGroup(child),
  };
  const endWithUs = (): void => killGroup(child, 'SIGKILL');
  process.once('exit', endWithUs);
  // One that was killed may have left its apps behind.
  child.once('exit', (code) => code !== null && process.off('exit', endWithUs));
  await eventually(
    'the gateway is ready',
    async () => {
      if (stack.exited()) throw new Error(`npm start ended:\n${stack.log().slice(-2000)}`);
      return (await fetch(`${base}/health/ready`)).ok;
    },
    { timeoutMs: 120_000, everyMs: 100 },
  );
  return stack;
}

export async function request(
  base: string,
  key: string,
  method: string,
  route: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(base + route, {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body),
  });
  const text = await response.text();
  let json: Answer['json'];
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  return {
    status: response.status,
    headers: response.headers,
    text,
    json,
    a: json?.data?.attributes,
    id: json?.data?.id ?? json?.id,
  };
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    process.kill(-child.pid!, signal);
  } catch {
    // The group is gone already.
  }
}

async function stopGroup(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGTERM');
  const late = setTimeout(() => killGroup(child, 'SIGKILL'), 20_000);
  await gone;
  clearTimeout(late);
}

/** `root` and every process below it, from /proc. */
export function descendants(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const parent = processOf(Number(entry))?.parent;
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), Number(entry)]);
  }
  const found: number[] = [];
  const todo = [root];
  for (let pid = todo.pop(); pid !== undefined; pid = todo.pop()) {
    found.push(pid);
    todo.push(...(children.get(pid) ?? []));
  }
  return found;
}

export function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}
