/** Rows as the battery compares them: what the server said when it wrote them against what the log says. */
import { createHash } from 'node:crypto';

export type Row = Readonly<Record<string, unknown>>;

/** Longer texts stand as their digest: an oracle that remembers every value would be the largest process here. */
const LONG = 64;

const brief = (value: unknown): unknown =>
  typeof value === 'string' && value.length > LONG
    ? `#${value.length}:${createHash('md5').update(value).digest('base64')}`
    : value;

/** One text for equal rows, whatever the order of their columns. */
export const rowText = (row: Row, without: readonly string[] = []): string =>
  JSON.stringify(
    Object.entries(row)
      .filter(([name]) => !without.includes(name))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, value]) => [name, brief(value)]),
  );

export const briefRow = (row: Row): Row =>
  Object.fromEntries(Object.entries(row).map(([name, value]) => [name, brief(value)]));
