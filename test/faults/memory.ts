/** Resident memory of the product's processes over their lives, the line through it, and a picture of it for a terminal. */
import { readFileSync } from 'node:fs';

export interface Sample {
  /** Since the beginning, ms. */
  readonly at: number;
  readonly mib: number;
}

/** A process from the first time it was seen until it was gone. */
export interface Life {
  readonly app: string;
  readonly pid: number;
  readonly samples: Sample[];
}

/** How long caches and compilers of a process take more and more, ms: a third of its life, between these. */
const YOUNG_MS = { least: 120_000, most: 600_000 };
/** Below that a line says nothing, ms: what the garbage collector leaves lying for a while looks like growth. */
const LEAST_MS = 90_000;
/** What is judged is middling and long from here on, ms. */
const [MIDDLING_MS, LONG_MS] = [5 * 60_000, 9 * 60_000];
/** What a flat life may grow in all, MiB. Healthy workers were seen to grow by 34 in 2.5 minutes and 20 in 7, then to stay. */
const NOISE_MIB = { short: 50, middling: 25, long: 12 };

function residentMib(pid: number): number | null {
  try {
    const kib = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
    return kib === undefined ? null : Number(kib) / 1024;
  } catch {
    return null;
  }
}

export class Lives {
  readonly all: Life[] = [];

  /** One look at the processes that there are now. */
  look(app: string, pids: readonly number[], at: number): void {
    for (const pid of pids) {
      const mib = residentMib(pid);
      if (mib === null) continue;
      let life = this.all.find((one) => one.pid === pid && one.app === app);
      if (life === undefined) this.all.push((life = { app, pid, samples: [] }));
      life.samples.push({ at, mib });
    }
  }
}

/** What may be judged of a life: from when it was no longer young. */
export function grown({ samples }: Life): readonly Sample[] {
  const [first, last] = [samples[0]?.at ?? 0, samples.at(-1)?.at ?? 0];
  const from = first + Math.min(YOUNG_MS.most, Math.max(YOUNG_MS.least, (last - first) / 3));
  return samples.filter(({ at }) => at >= from);
}

const sum = (of: readonly number[]): number => of.reduce((total, one) => total + one, 0);

/** Least squares, MiB an hour. `null`: too short a time. */
export function slope(samples: readonly Sample[]): number | null {
  const [first, last] = [samples[0], samples.at(-1)];
  if (first === undefined || last === undefined || last.at - first.at < LEAST_MS) return null;
  const mean = (of: readonly number[]): number => sum(of) / of.length;
  const [at, mib] = [mean(samples.map((one) => one.at)), mean(samples.map((one) => one.mib))];
  const over = sum(samples.map((one) => (one.at - at) * (one.mib - mib)));
  return (over / sum(samples.map((one) => (one.at - at) ** 2))) * 3_600_000;
}

/** A life that was long enough to be judged. */
export interface Judged {
  /** How long it was, young time left out. */
  readonly hours: number;
  /** By how much it grew in it, by the line through it. */
  readonly grownMib: number;
  readonly allowedMib: number;
}

export interface Verdict {
  readonly app: string;
  readonly lives: readonly Judged[];
  /** The life that comes closest to what it may grow, or is furthest beyond. */
  readonly worst: Judged | null;
  readonly flat: boolean;
}

/** Each life by itself: what others have not grown is no allowance of its own. */
function judge(life: Life, bound: number): Judged | null {
  const samples = grown(life);
  const mibPerHour = slope(samples);
  if (mibPerHour === null) return null;
  const ms = samples.at(-1)!.at - samples[0]!.at;
  const hours = ms / 3_600_000;
  const allowedMib =
    ms >= LONG_MS ? NOISE_MIB.long + bound * hours : ms >= MIDDLING_MS ? NOISE_MIB.middling : NOISE_MIB.short;
  return { hours, grownMib: mibPerHour * hours, allowedMib };
}

const beyond = ({ grownMib, allowedMib }: Judged): number => grownMib - allowedMib;

/** @param bound MiB an hour that a long life may grow, besides its noise */
export function verdictOf(app: string, lives: readonly Life[], bound: number): Verdict {
  const judged = lives
    .filter((life) => life.app === app)
    .map((life) => judge(life, bound))
    .filter((one) => one !== null);
  const worst = judged.toSorted((a, b) => beyond(b) - beyond(a))[0] ?? null;
  return { app, lives: judged, worst, flat: worst === null || beyond(worst) <= 0 };
}

const BARS = '▁▂▃▄▅▆▇█';
const WIDTH = 72;

/** One line of an app: each place a stretch of time, `|` where a process has begun anew; between the least and the most. */
export function plot(app: string, lives: readonly Life[], until: number): string {
  const own = lives.filter((life) => life.app === app);
  const cells = Array.from({ length: WIDTH }, (_, i) => {
    const within = ({ at }: Sample): boolean => at >= (i * until) / WIDTH && at < ((i + 1) * until) / WIDTH;
    const begins = own.some(({ samples }, n) => n > 0 && within(samples[0]!));
    const there = own.flatMap(({ samples }) => samples.filter(within)).map(({ mib }) => mib);
    return begins ? '|' : there.length === 0 ? null : sum(there) / there.length;
  });
  const numbers = cells.filter((cell) => typeof cell === 'number');
  const [least, most] = [Math.min(...numbers), Math.max(...numbers)];
  const bar = (mib: number): string =>
    BARS[Math.min(BARS.length - 1, Math.floor(((mib - least) / Math.max(1, most - least)) * BARS.length))]!;
  const line = cells.map((cell) => (cell === null ? ' ' : typeof cell === 'string' ? cell : bar(cell))).join('');
  const range = numbers.length === 0 ? 'not seen' : `${Math.round(least)} to ${Math.round(most)} MiB`;
  return `${app.padEnd(18)} ${line} ${range}`;
}
