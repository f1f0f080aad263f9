import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { guardProcess, kcatProgram } from '@planasonix/testing';
import type { DemoLog, LoggedEvent } from './demo-log.js';

/** As kcat writes a record with `-J`; headers are name, value, name, value, … */
interface Line {
  readonly ts: number;
  readonly headers: readonly string[];
  readonly payload: string;
}

const KEPT = 200;

function eventOf(text: string): LoggedEvent {
  const { ts, headers, payload } = JSON.parse(text) as Line;
  const attribute = (name: string): string => {
    const at = headers.findIndex((header, i) => i % 2 === 0 && header === `ce_${name}`);
    return at < 0 ? '' : headers[at + 1]!;
  };
  return {
    ...{ id: attribute('id'), type: attribute('type'), time: attribute('time'), loggedAt: ts, data: payload },
    ...{ subject: attribute('subject'), partitionkey: attribute('partitionkey') },
  };
}

/**
 * The topic as librdkafka reads it, committed transactions alone: one reader goes along from the first record on, and each
 * `all` is a reader of its own.
 */
export function kafkaDemoLog(brokers: readonly string[], topic: string): DemoLog {
  const program = kcatProgram();
  const command = ['-b', brokers.join(','), '-C', '-t', topic, '-q', '-J', '-X', 'isolation.level=read_committed'];
  const running = new Set<ChildProcess>();
  const newest: LoggedEvent[] = [];
  let depth = 0;
  let closed = false;
  let failure: Error | null = null;

  function reader(...more: string[]): ChildProcess & { readonly ended: Promise<void> } {
    const child = spawn(program, [...command, ...more], { stdio: ['ignore', 'pipe', 'pipe'] });
    const release = child.pid ? guardProcess(child.pid) : () => undefined;
    running.add(child);
    let complaint = '';
    child.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
    const ended = new Promise<void>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => {
        running.delete(child);
        release();
        if (code === 0 || closed) resolve();
        else reject(new Error(`kcat failed (${code}): ${complaint.trim()}`));
      });
    });
    ended.catch((error: Error) => (failure ??= error));
    return Object.assign(child, { ended });
  }

  const along = reader('-u');
  createInterface({ input: along.stdout! }).on('line', (line) => {
    depth++;
    newest.push(eventOf(line));
    if (newest.length > KEPT) newest.shift();
  });

  return {
    depth: () => (failure ? Promise.reject(failure) : Promise.resolve(depth)),
    newest: (count) => (failure ? Promise.reject(failure) : Promise.resolve(newest.slice(-count))),
    async *all() {
      const once = reader('-e');
      for await (const line of createInterface({ input: once.stdout! })) yield eventOf(line);
      await once.ended;
    },
    howToLook: ['kcat', ...command.slice(0, 5), '-o', '-2', '-e', ...command.slice(5)].join(' '),
    async close() {
      closed = true;
      const ending = [...running].map((child) => new Promise((resolve) => child.once('close', resolve)));
      for (const child of running) child.kill('SIGKILL');
      await Promise.all(ending);
    },
  };
}
