const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A time as users write it: `500ms`, `10s`, `5m`, `72h`, `3d`. */
export const DURATION = /^([1-9][0-9]{0,6})(ms|s|m|h|d)$/;

/** @returns milliseconds. */
export function milliseconds(text: string): number {
  const [, count, unit] = DURATION.exec(text)!;
  return Number(count) * UNITS[unit!]!;
}
