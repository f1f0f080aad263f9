/** Where the time of a piece of this process's own work goes. */
import { Session, type Profiler } from 'node:inspector/promises';
import { round } from './measure.js';

const TOP = 12;

/** Runs `work` under the CPU profiler. @returns the functions with the greatest share of all samples, as "name": share. */
export async function profileOf(work: () => Promise<unknown>): Promise<Readonly<Record<string, number>>> {
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

function shares({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile): Record<string, number> {
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
