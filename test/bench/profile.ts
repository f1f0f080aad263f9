/** Where the CPU time of a connector, or of a piece of the bench's own work, goes. */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { Session, type Profiler } from 'node:inspector/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { eventually } from '@planasonix/testing';
import { round } from './measure.js';

const TOP = 14;

/** Function → its share of all samples, the greatest first. */
export type Where = Readonly<Record<string, number>>;

/** From now on every app is started with the profiler at hand. */
export function profileConnectors(): void {
  process.env['PROFILE_DIR'] = mkdtempSync(path.join(tmpdir(), 'planasonix-profile-'));
  process.env['NODE_OPTIONS'] = `--require ${path.resolve('test/bench/profile-hook.cjs')}`;
}

/** Begins the profile of a connector, where `--profile` asks for one. @returns ends it and tells what was seen. */
export function profileOfWorker(pid: number | undefined): () => Promise<{ readonly where?: Where }> {
  const dir = process.env['PROFILE_DIR'];
  if (dir === undefined || pid === undefined) return () => Promise.resolve({});
  const file = path.join(dir, `${pid}.cpuprofile`);
  process.kill(pid, 'SIGUSR2');
  return async () => {
    process.kill(pid, 'SIGUSR2');
    const profile = await eventually(
      'the profile is written',
      () => {
        if (!existsSync(file) || statSync(file).size === 0) return null;
        return JSON.parse(readFileSync(file, 'utf8')) as Profiler.Profile;
      },
      { timeoutMs: 30_000, everyMs: 100 },
    );
    rmSync(file);
    return { where: shares(profile) };
  };
}

/** Runs `work` in this process under the profiler. */
export async function profileOf(work: () => Promise<unknown>): Promise<Where> {
  const session = new Session();
  session.connect();
  try {
    await session.post('Profiler.enable');
    await session.post('Profiler.start');
    await work();
    const { profile } = await session.post('Profiler.stop');
    return shares(profile);
  } finally {
    session.disconnect();
  }
}

function shares({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile): Where {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const micros = new Map<string, number>();
  samples.forEach((id, i) => {
    const name = names.get(id) ?? '?';
    micros.set(name, (micros.get(name) ?? 0) + (timeDeltas[i] ?? 0));
  });
  const total = [...micros.values()].reduce((sum, each) => sum + each, 0);
  const top = [...micros].sort(([, a], [, b]) => b - a).slice(0, TOP);
  return Object.fromEntries(top.map(([name, each]) => [name, round(each / total, 3)]));
}

/** The function, and its file where that is not the bundle. */
function nameOf({ functionName, url }: Profiler.Profile['nodes'][number]['callFrame']): string {
  const file = url.split('/').at(-1) ?? '';
  return `${functionName || '(anonymous)'}${file === '' || file === 'main.cjs' ? '' : ` ${file}`}`;
}
