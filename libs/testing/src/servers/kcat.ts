import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { guardProcess } from './guard.js';
import { systemProgram } from './system-program.js';

/** Path of kcat (librdkafka). On Debian as root it is installed when it is missing. */
export const kcatProgram = (say?: (line: string) => void): string =>
  systemProgram(
    {
      names: ['kcat', 'kafkacat'],
      packages: ['kcat'],
      hint: 'kcat is missing: apt-get install kcat (macOS: brew install kcat).',
    },
    say,
  );

/** A broker answers at once at the end of a partition, instead of after half a second. */
const PROMPT = ['-X', 'fetch.wait.max.ms=10'];

/**
 * A client that shares no line of code with ours, as the second opinion on what is in a topic.
 *
 * @param args as on its command line: `['-b', brokers, '-C', '-t', topic, '-e', '-q']`. With `-e` it ends where nothing
 * comes any more: never, on a topic that others write to. `kcatAlong` is for those.
 * @param input what it reads from, for `-P`
 * @returns what it wrote
 * @throws with its own words when it fails
 */
export function kcat(args: readonly string[], input: string | Buffer = ''): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const child = spawn(kcatProgram(), args.includes('-C') ? [...args, ...PROMPT] : args, {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const written: Buffer[] = [];
    let complaint = '';
    child.stdout.on('data', (chunk: Buffer) => written.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
    child.once('error', reject);
    child.once('close', (code) =>
      code === 0 ? resolve(Buffer.concat(written)) : reject(new Error(`kcat failed (${code}): ${complaint.trim()}`)),
    );
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
  });
}

/**
 * Reads along with a topic that others write to.
 *
 * @param args as on its command line, without `-e`
 * @param onLine gets each line that it writes
 * @returns what ends it
 */
export function kcatAlong(args: readonly string[], onLine: (line: string) => void): () => Promise<void> {
  const child = spawn(kcatProgram(), [...args, '-u'], { stdio: ['ignore', 'pipe', 'ignore'] });
  const release = child.pid ? guardProcess(child.pid) : () => undefined;
  createInterface({ input: child.stdout }).on('line', onLine);
  const closed = new Promise<void>((resolve) => child.once('close', () => (release(), resolve())));
  return () => (child.kill('SIGKILL'), closed);
}
