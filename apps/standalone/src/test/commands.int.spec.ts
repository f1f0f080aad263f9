import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { alive, eventually, tempDir } from '@planasonix/testing';
import { build } from 'esbuild';
import { runCommand } from './commands.js';

const ROOT = path.resolve(__dirname, '../../../..');

describe('a command of npm test', () => {
  it('answers its code and all that it wrote', async () => {
    expect(await runCommand(ROOT, 'sh', ['-c', 'echo out; echo err >&2; exit 3'])).toEqual({
      code: 3,
      output: expect.stringMatching(/^(out\nerr|err\nout)\n$/),
    });
  });

  it('ends with whoever ran it, and so does what it started itself', async () => {
    const folder = tempDir('commands');
    const script = path.join(folder, 'interrupted.cjs');
    await build({
      stdin: {
        contents: `
          import { runCommand } from './commands.js';
          process.on('SIGINT', () => process.exit(130));
          void runCommand(process.argv[2], 'sh', ['-c', 'sleep 60 & echo $! > pid; mv pid grandchild; wait']);
          console.log('guarded');`,
        resolveDir: __dirname,
        loader: 'ts',
      },
      alias: { '@planasonix/testing': path.join(ROOT, 'libs/testing/src/servers/guard.ts') },
      ...{ bundle: true, platform: 'node', format: 'cjs', outfile: script, logLevel: 'silent' },
    });
    for (const [signal, code] of [
      ['SIGINT', 130],
      ['SIGKILL', null],
    ] as const) {
      const runner = spawn(process.execPath, [script, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
      // Before it says so a SIGKILL may come between the start of the command and its guard.
      const guarded = new Promise((resolve) => runner.stdout.once('data', resolve));
      const ended = new Promise<number | null>((resolve) => runner.once('exit', resolve));
      const file = path.join(folder, 'grandchild');
      const grandchild = Number(await eventually('it runs', () => existsSync(file) && readFileSync(file, 'utf8')));
      rmSync(file);
      await guarded;
      expect(alive(grandchild)).toBe(true);
      runner.kill(signal);
      expect(await ended).toBe(code);
      await eventually('what the command started has ended', () => !alive(grandchild));
    }
  });
});
