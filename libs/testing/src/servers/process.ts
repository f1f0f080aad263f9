import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import type { Account } from './account.js';
import { guardProcess } from './guard.js';

/** A server that we started: its own session, its output in a file, ended with us. */
export interface ServerProcess {
  readonly pid: number;
  readonly running: boolean;
  /** Resolves when it has ended. */
  readonly ended: Promise<void>;
  /** Signals it and waits until it is gone; after `killAfterMs` it is killed. */
  end(signal: NodeJS.Signals, killAfterMs?: number): Promise<void>;
  /** The last lines that it wrote. */
  tail(): string;
}

export function spawnServer(
  command: string,
  args: readonly string[],
  options: {
    readonly logFile: string;
    readonly cwd: string;
    readonly account?: Account;
    readonly guard: 'QUIT' | 'TERM' | 'KILL';
  },
): Promise<ServerProcess> {
  const log = openSync(options.logFile, 'a', 0o600);
  const child: ChildProcess = spawn(command, args, {
    cwd: options.cwd,
    // Its own session: Ctrl-C in the terminal must not end a server under the apps that still use it.
    detached: true,
    stdio: ['ignore', log, log],
    ...(process.getuid?.() === 0 && options.account ? { uid: options.account.uid, gid: options.account.gid } : {}),
    env: { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' },
  });
  closeSync(log);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('spawn', () => {
      const pid = child.pid!;
      const release = guardProcess(pid, options.guard);
      let running = true;
      const ended = new Promise<void>((done) =>
        child.once('exit', () => {
          running = false;
          release();
          done();
        }),
      );
      child.unref();
      resolve({
        pid,
        get running() {
          return running;
        },
        ended,
        async end(signal, killAfterMs = 15_000) {
          if (!running) return;
          child.ref();
          child.kill(signal);
          const timer = setTimeout(() => child.kill('SIGKILL'), killAfterMs);
          await ended;
          clearTimeout(timer);
        },
        tail: () => readFileSync(options.logFile, 'utf8').trimEnd().split('\n').slice(-8).join('\n'),
      });
    });
  });
}
