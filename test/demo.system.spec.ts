import { spawn } from 'node:child_process';
import { eventually } from '@planasonix/testing';

jest.setTimeout(180_000);

/** Runs the demo in a process group of its own. */
function demo(...args: string[]) {
  const child = spawn(process.execPath, ['apps/standalone/run.mjs', 'demo', ...args], {
    cwd: process.cwd(),
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const out = { text: '' };
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (out.text += chunk.toString()));
  const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  return { child, out, ended };
}

/** Nobody of the group is left: signal 0 finds nobody. */
const isGone = (group: number): boolean => {
  try {
    process.kill(-group, 0);
    return false;
  } catch {
    return true;
  }
};

describe('npm run demo', () => {
  it('with an end compares the folded log with the tables, says that they are equal, and leaves no process behind', async () => {
    const { child, out, ended } = demo('--seconds', '6');
    const code = await ended;
    expect(out.text).toMatch(/EQUAL: [\d,]+ rows in 6 tables/);
    expect(out.text).toContain('0 repeated ids');
    expect(code).toBe(0);
    await eventually('everything it started has ended', () => isGone(child.pid!));
  });

  it('into Kafka is read back by another client, whole transactions alone, and is equal', async () => {
    const { child, out, ended } = demo('--kafka', '--seconds', '3');
    const code = await ended;
    expect(out.text).toMatch(/EQUAL: [\d,]+ rows in 6 tables/);
    expect(out.text).toContain('0 repeated ids');
    expect(out.text).toContain('isolation.level=read_committed');
    expect(code).toBe(0);
    await eventually('everything it started has ended', () => isGone(child.pid!));
  });

  it('ends with all that it started when it is interrupted', async () => {
    const { child, out, ended } = demo();
    await eventually('it runs', () => out.text.includes('running'), { timeoutMs: 90_000 });
    child.kill('SIGINT');
    expect(await ended).toBe(0);
    await eventually('everything it started has ended', () => isGone(child.pid!));
  });
});
