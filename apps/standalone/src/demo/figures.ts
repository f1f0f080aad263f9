/** What the screen shows, once a second. */
export interface Figures {
  readonly seconds: number;
  readonly status: string;
  /** Durable in the log during the last second. */
  readonly eventsPerSecond: number;
  readonly lagSeconds: number;
  readonly p50: number | null;
  readonly p99: number | null;
  readonly logDepth: number;
  readonly totalEvents: number;
  readonly totalBytes: number;
  readonly committed: number;
  readonly rolledBack: number;
  readonly snapshotRows: number | null;
  /** WAL that the source keeps for the stream; `null` until it was looked at. */
  readonly held: {
    readonly bytes: number;
    /** `null`: the source sets no limit. */
    readonly bytesToLoss: number | null;
    /** `null`: no limit, or how fast it comes nearer is not known yet. */
    readonly secondsToLoss: number | null;
    readonly overBudget: boolean;
  } | null;
  /** Newest last: subject, op, key, age. */
  readonly lastEvents: readonly string[];
}

const BARS = '▁▂▃▄▅▆▇█';

/** One sign per value, the highest is the tallest. */
export function sparkline(values: readonly number[]): string {
  const top = Math.max(...values, 1);
  return values.map((value) => BARS[Math.min(BARS.length - 1, Math.floor((value / top) * BARS.length))]).join('');
}

export const whole = (value: number): string => Math.round(value).toLocaleString('en-US');

export const millis = (value: number | null): string =>
  value === null ? '–' : value < 10 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`;

/** What is held back at the source, and for how long that goes well. */
export function heldBack(held: Figures['held']): string {
  if (held === null) return '–';
  const { bytesToLoss, secondsToLoss: left } = held;
  const until =
    left === null
      ? bytesToLoss === null
        ? 'no limit'
        : `lost after ${bytes(bytesToLoss)} more`
      : left >= 7200
        ? `lost in ${Math.round(left / 3600)} h`
        : left >= 120
          ? `lost in ${Math.round(left / 60)} min`
          : `lost in ${Math.round(left)} s`;
  return `${bytes(held.bytes)}, ${until}${held.overBudget ? ', over budget' : ''}`;
}

export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let step = 0;
  for (; value >= 1024 && step < units.length - 1; step++) value /= 1024;
  return `${value.toFixed(step === 0 ? 0 : 1)} ${units[step]}`;
}
