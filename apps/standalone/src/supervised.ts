import { type ChildProcess, spawn } from 'node:child_process';
import { EXIT_CONFIG } from '@planasonix/core';
import { guardProcess } from '@planasonix/testing';
import { forwardLines, type WriteLine } from './log-lines.js';

/** One app as a process of its own, started again when it dies. */
export interface Supervised {
  readonly name: string;
  readonly pid: number | null;
  /** SIGTERM, then SIGKILL after `killAfterMs`. */
  stop(killAfterMs: number): Promise<void>;
  /** Resolves with the exit code when it has ended for good: where it is not started again, or that would change nothing. */
  readonly ended: Promise<number>;
}

export interface SupervisedOptions {
  readonly name: string;
  /** Path of the bundle, relative to `cwd`: it is what `ps` shows. */
  readonly script: string;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly write: WriteLine;
  readonly restarts: boolean;
}

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 10_000;
/** A process that ran this long has started well; the next wait is short again. */
const SETTLED_MS = 30_000;

/**
 * Events on their way into the log outlive a young generation of 16 MiB, are copied into the old one, and have that collected
 * over and over. The image starts apps with the same (`docker/Dockerfile`).
 */
const NODE_ARGS = ['--max-semi-space-size=32'];

/** How long to wait before the next start. */
export const nextWait = (lastMs: number, ranMs: number): number =>
  ranMs >= SETTLED_MS || lastMs === 0 ? FIRST_WAIT_MS : Math.min(LONGEST_WAIT_MS, lastMs * 2);

export function supervise(options: SupervisedOptions): Supervised {
  let child: ChildProcess | null = null;
  let timer: NodeJS.Timeout | null = null;
  let stopping = false;
  let waitMs = 0;
  let gone: () => void = () => undefined;
  let finish: (code: number) => void;
  const ended = new Promise<number>((resolve) => (finish = resolve));

  function start(): void {
    timer = null;
    const startedAt = performance.now();
    const started = spawn(process.execPath, [...NODE_ARGS, options.script], {
      cwd: options.cwd,
      env: options.env,
      // In our process group on purpose: whoever kills the group ends the apps with us.
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child = started;
    const release = started.pid ? guardProcess(started.pid) : () => undefined;
    forwardLines(started.stdout, `${options.name} | `, options.write);
    forwardLines(started.stderr, `${options.name} | `, options.write);
    const over = (how: string, code: number) => {
      if (child !== started) return;
      child = null;
      release();
      gone();
      if (stopping || !options.restarts || code === EXIT_CONFIG) return finish(code);
      waitMs = nextWait(waitMs, performance.now() - startedAt);
      options.write(`standalone | ${options.name} ended (${how}); it is started again in ${waitMs} ms`);
      timer = setTimeout(start, waitMs);
    };
    started.once('error', (error) => over(error.message, 1));
    started.once('exit', (code, signal) => over(signal ?? `exit ${code}`, code ?? 1));
  }

  start();
  return {
    name: options.name,
    get pid() {
      return child?.pid ?? null;
    },
    ended,
    async stop(killAfterMs) {
      stopping = true;
      if (timer) clearTimeout(timer);
      const running = child;
      if (!running) return finish(0);
      const over = new Promise<void>((resolve) => (gone = resolve));
      running.kill('SIGTERM');
      const late = setTimeout(() => {
        options.write(`standalone | ${options.name} did not end within ${killAfterMs} ms and is killed`);
        running.kill('SIGKILL');
      }, killAfterMs);
      await over;
      clearTimeout(late);
    },
  };
}
