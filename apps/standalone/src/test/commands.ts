import { spawn } from 'node:child_process';
import { guardProcess } from '@planasonix/testing';
import { inheritedEnv } from '../env.js';

export interface Finished {
  /** `null` when it was ended by a signal. */
  readonly code: number | null;
  /** Everything that it wrote, in order. */
  readonly output: string;
}

/** Runs a command to its end, with its output kept. It ends with us, and so does everything that it started. */
export function runCommand(
  root: string,
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Finished> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      // A group of its own, which ends as one: signalled alone, npx leaves behind what it runs.
      detached: true,
      // Nx must leave no daemon behind.
      env: { ...inheritedEnv(), NX_DAEMON: 'false', FORCE_COLOR: '0', NO_COLOR: '1', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const release = child.pid ? guardProcess(-child.pid) : () => undefined;
    let output = '';
    const add = (chunk: Buffer) => (output += chunk.toString());
    child.stdout.on('data', add);
    child.stderr.on('data', add);
    const done = (code: number | null, text = '') => {
      release();
      resolve({ code, output: output + text });
    };
    child.once('error', (error) => done(1, error.message));
    child.once('close', (code) => done(code));
  });
}
