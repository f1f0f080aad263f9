/** What a process has used, read from /proc: CPU seconds and peak memory. */
import { readFileSync, writeFileSync } from 'node:fs';
import { constants, setPriority } from 'node:os';

const TICKS_PER_SECOND = 100;

/** User and system seconds of a process since it began, its threads included; 0 once it is gone. */
export function cpuSeconds(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  } catch {
    return 0;
  }
}

/** Highest resident set of a process so far, MiB. */
export const peakMiB = (pid: number): number => statusMiB(pid, /VmHWM:\s+(\d+)/);

/** Resident set of a process now, MiB. */
export const rssMiB = (pid: number): number => statusMiB(pid, /VmRSS:\s+(\d+)/);

function statusMiB(pid: number, line: RegExp): number {
  try {
    return Number(line.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}

export interface Stopwatch {
  /** Wall seconds, and CPU seconds per name, since the stopwatch was made. */
  read(): { readonly seconds: number; readonly cpu: Readonly<Record<string, number>> };
}

export function stopwatch(pids: Readonly<Record<string, readonly number[]>>): Stopwatch {
  const began = performance.now();
  const used = (of: readonly number[]): number => of.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  const before = Object.fromEntries(Object.entries(pids).map(([name, of]) => [name, used(of)]));
  return {
    read: () => ({
      seconds: (performance.now() - began) / 1000,
      cpu: Object.fromEntries(Object.entries(pids).map(([name, of]) => [name, round(used(of) - before[name]!, 2)])),
    }),
  };
}

export const round = (value: number, digits = 1): number => Number(value.toFixed(digits));

/** CPU seconds by name → the same for a million rows. */
export const perMillion = (used: Readonly<Record<string, number>>, rows: number): Record<string, number> =>
  Object.fromEntries(Object.entries(used).map(([name, of]) => [name, round((of / rows) * 1e6, 2)]));

/** What a drain comes to beside its reference. @param bytes of the data that came into the log */
export const drained = (
  rows: number,
  ours: { readonly seconds: number; readonly bytes: number; readonly worker: readonly number[] },
  reference: { readonly seconds: number },
) => ({
  reference_rows_per_s: round(rows / reference.seconds, 0),
  ours_rows_per_s: round(rows / ours.seconds, 0),
  ratio: round(reference.seconds / ours.seconds, 2),
  data_mib_per_s: round(ours.bytes / ours.seconds / 1_048_576),
  worker_peak_mib: round(Math.max(...ours.worker.map(peakMiB))),
});

/** The value below which `quantile` of `sorted` lie. */
export const quantile = (sorted: readonly number[], of: number): number =>
  sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * of) - 1))] ?? Number.NaN;

export const sorted = (values: Iterable<number>): number[] => [...values].sort((a, b) => a - b);

/**
 * They stand for other machines: here they have what is left of the cores, and take nothing of what is measured. Linux
 * gives each session its own share before it looks at priorities, and every backend of Postgres is a session.
 *
 * @param pids each of a session of its own (`detached`), for all of a session get the priority of one
 */
export function elsewhere(pids: readonly number[]): void {
  const { PRIORITY_LOW } = constants.priority;
  for (const pid of pids) {
    try {
      setPriority(pid, PRIORITY_LOW);
      writeFileSync(`/proc/${pid}/autogroup`, String(PRIORITY_LOW));
    } catch {
      // It has ended, or there is no such thing here.
    }
  }
}
