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

/** What the caches and compilers of a young process take, ms. */
const YOUNG_MS = 60_000;
/** Below that a line says nothing, ms: what the garbage collector leaves lying for a while looks like growth. */
const LEAST_MS = 90_000;
/** A short life that grows by less than this in all has not grown: the garbage collector's own ups and downs, MiB. */
const NOISE_MIB = 25;
const SHORT_HOURS = 10 / 60;

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
  const from = (samples[0]?.at ?? 0) + YOUNG_MS;
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

export interface Verdict {
  readonly app: string;
  /** Lives that were long enough to be judged. */
  readonly lives: number;
  /** How long these were, young time left out. */
  readonly hours: number;
  /** By how much they grew in it, by the line through each. */
  readonly grownMib: number;
  readonly flat: boolean;
}

/** @param bound MiB an hour that an app may grow; less than the noise of its short lives is no growth */
export function verdictOf(app: string, lives: readonly Life[], bound: number): Verdict {
  const judged = lives
    .filter((life) => life.app === app)
    .map(grown)
    .flatMap((samples) => {
      const mibPerHour = slope(samples);
      if (mibPerHour === null) return [];
      const hours = (samples.at(-1)!.at - samples[0]!.at) / 3_600_000;
      return [{ hours, grownMib: mibPerHour * hours }];
    });
  const [hours, grownMib] = [sum(judged.map((one) => one.hours)), sum(judged.map((one) => one.grownMib))];
  const noise = NOISE_MIB * judged.filter((one) => one.hours < SHORT_HOURS).length;
  const flat = grownMib <= Math.max(bound * hours, noise);
  return { app, lives: judged.length, hours, grownMib, flat };
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
