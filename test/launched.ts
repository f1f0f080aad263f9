/** A command of the product, and whether anything that it started outlives it. */
import { spawn, type ChildProcess } from 'node:child_process';
import { eventually, processOf } from '@planasonix/testing';
import { commandLine, descendants } from './stack.js';

export interface Launched {
  readonly child: ChildProcess;
  /** What it has written so far, to both outputs. */
  readonly out: { text: string };
  /** Its exit code; `null`: it was killed. */
  readonly ended: Promise<number | null>;
  /** Waits until none of its processes is there any more. Servers and their guards are in groups of their own. */
  readonly left: () => Promise<void>;
}

const LOOK_MS = 100;

/** @param args of Node, at the top of the checkout unless `cwd` says another place */
export function launched(args: readonly string[], env: NodeJS.ProcessEnv, cwd = process.cwd()): Launched {
  const child = spawn(process.execPath, args, { cwd, detached: true, stdio: ['ignore', 'pipe', 'pipe'], env });
  const out = { text: '' };
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (out.text += chunk.toString()));
  // By pid and start, so that a number that was given anew is nobody of ours.
  const seen = new Map<string, string>();
  const look = setInterval(() => {
    for (const pid of descendants(child.pid!)) {
      const born = bornAt(pid);
      if (born !== null) seen.set(`${pid} ${born}`, commandLine(pid));
    }
  }, LOOK_MS);
  const ended = new Promise<number | null>((resolve) =>
    child.once('exit', (code) => {
      clearInterval(look);
      resolve(code);
    }),
  );
  const endWithUs = (): void => void child.kill('SIGKILL');
  process.once('exit', endWithUs);
  child.once('exit', () => process.off('exit', endWithUs));
  return {
    child,
    out,
    ended,
    async left() {
      // The product alone is more than one process: whoever saw fewer has not looked.
      expect(seen.size).toBeGreaterThan(1);
      await eventually('everything that it started has ended', () => {
        const alive = [...seen].filter(
          ([known]) => known === `${known.split(' ')[0]} ${bornAt(Number(known.split(' ')[0]))}`,
        );
        if (alive.length > 0) throw new Error(alive.map(([known, command]) => `${known}: ${command}`).join('; '));
        return true;
      });
    },
  };
}

/** When it was started; `null`: it is not there, or dead and not buried. */
function bornAt(pid: number): string | null {
  const found = processOf(pid);
  return found === null || found.zombie ? null : found.born;
}
