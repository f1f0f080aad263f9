import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../eventually.js';
import { alive } from './alive.js';
import { GUARD_SCRIPT } from './guard.js';

describe('the guard', () => {
  it('ends what is on its list when its pipe closes, however stubborn, and leaves the rest alone', async () => {
    const guard = spawn('sh', ['-c', GUARD_SCRIPT], { detached: true, stdio: ['pipe', 'inherit', 'inherit'] });
    const folder = mkdtempSync(join(tmpdir(), 'planasonix guard-'));
    const meek = spawn('sleep', ['60']);
    const stubborn = spawn('sh', ['-c', 'trap "" TERM; while :; do sleep 0.1; done']);
    const dropped = spawn('sleep', ['60']);
    for (const line of [
      `keep TERM ${meek.pid}`,
      `keep TERM ${dropped.pid}`,
      `keep dir ${folder}`,
      `keep TERM ${stubborn.pid}`,
      `drop TERM ${dropped.pid}`,
    ])
      guard.stdin.write(`${line}\n`);
    guard.stdin.end();
    await eventually('the guard has done its work', () => guard.exitCode === 0);
    await eventually('both have ended', () => meek.signalCode === 'SIGTERM' && stubborn.signalCode === 'SIGKILL');
    expect(existsSync(folder)).toBe(false);
    expect(dropped.exitCode ?? dropped.signalCode).toBeNull();
    dropped.kill();
  });

  it('ends a whole group: also what a command on its list has started', async () => {
    const guard = spawn('sh', ['-c', GUARD_SCRIPT], { detached: true, stdio: ['pipe', 'inherit', 'inherit'] });
    const command = spawn('sh', ['-c', 'sleep 60 & echo $!; wait'], { detached: true });
    const grandchild = await new Promise<number>((resolve) => {
      command.stdout.once('data', (line: Buffer) => resolve(Number(line.toString())));
    });
    expect(alive(grandchild)).toBe(true);
    guard.stdin.end(`keep TERM -${command.pid}\n`);
    await eventually('the guard has done its work', () => guard.exitCode === 0);
    await eventually('the grandchild has ended', () => !alive(grandchild));
  });
});
