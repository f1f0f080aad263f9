import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { eventually, tempDir } from '@planasonix/testing';
import { masked } from './log-lines.js';
import { nextWait, supervise } from './supervised.js';

const script = (text: string) => {
  const file = path.join(tempDir('app'), 'main.cjs');
  writeFileSync(file, text);
  return file;
};
const run = (text: string, restarts = true) => {
  const lines: string[] = [];
  const process = supervise({
    name: 'app',
    script: script(text),
    cwd: '/',
    env: {},
    write: (line) => lines.push(line),
    restarts,
  });
  return { process, lines };
};
const RUNS_ON = 'console.log("up"); setInterval(() => {}, 1000);';

describe('a supervised app', () => {
  it('passes its lines on with its name, whole ones only', async () => {
    const { process, lines } = run(
      'process.stdout.write("a\\nb"); setTimeout(() => process.stdout.write("c\\n"), 50);',
      false,
    );
    expect(await process.ended).toBe(0);
    await eventually('all lines', () => lines.length === 2);
    expect(lines).toEqual(['app | a', 'app | bc']);
  });

  it('is started again when it is killed', async () => {
    const { process: app, lines } = run(RUNS_ON);
    await eventually('it is up', () => lines.includes('app | up'));
    const first = app.pid!;
    process.kill(first, 'SIGKILL');
    await eventually('it is up again', () => lines.filter((line) => line === 'app | up').length === 2);
    expect(app.pid).not.toBe(first);
    expect(lines.join()).toContain('app ended (SIGKILL); it is started again in 250 ms');
    await app.stop(5000);
    expect(app.pid).toBeNull();
  });

  it('is not started again where its environment is not right: that would change nothing', async () => {
    const { process: app, lines } = run('console.log("PORT has to be a port number"); process.exit(78);');
    expect(await app.ended).toBe(78);
    expect(lines.join()).not.toContain('started again');
  });

  it('ends on SIGTERM, and is killed when it does not', async () => {
    const deaf = run(`process.on("SIGTERM", () => {}); ${RUNS_ON}`);
    await eventually('it is up', () => deaf.lines.includes('app | up'));
    await deaf.process.stop(100);
    expect(deaf.lines.at(-1)).toContain('is killed');
    expect(await deaf.process.ended).toBe(1);
  });

  it('waits longer after each early death, 10 s at most, and starts anew after a good run', () => {
    expect([0, 250, 8000, 10_000].map((last) => nextWait(last, 100))).toEqual([250, 500, 10_000, 10_000]);
    expect(nextWait(8000, 60_000)).toBe(250);
  });
});

it('a line never shows a secret that is known', () => {
  const lines: string[] = [];
  masked(
    (line) => lines.push(line),
    ['plnx_live_0123456789abcdef', 'postgres'],
  )('key plnx_live_0123456789abcdef of postgres');
  expect(lines).toEqual(['key ******** of postgres']);
});
