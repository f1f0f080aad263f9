import { randomBytes } from 'node:crypto';
import { isObject } from '../input/casing.js';

type Json = Record<string, unknown>;

const MOST_LIVE = 3;
const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Where a config keeps the secrets that senders use. */
const LISTS = ['secrets', 'tokens'] as const;

/** @param text as `30m`. @returns milliseconds. */
export const overlapMs = (text: string): number => Number(text.slice(0, -1)) * UNITS[text.slice(-1)]!;

/** 256 random bits, in the encoding that the scheme reads its secrets in. */
export function newSecret({ auth }: Json): string {
  const inHex = isObject(auth) && auth['secret_encoding'] === 'hex';
  return inHex ? randomBytes(32).toString('hex') : `whsec_${randomBytes(32).toString('base64')}`;
}

export interface Rotated {
  readonly config: Json;
  readonly live: number;
  readonly earlierUntil: string | null;
}

/**
 * The config with a new secret in front; those that live on end at `until` at the latest.
 * @param config secrets in the clear. @returns `null` where it has no list of secrets.
 */
export function rotated(config: Json, secret: string, nowMs: number, overlap: number): Rotated | null {
  const auth = config['auth'];
  const list = isObject(auth) ? LISTS.find((name) => Array.isArray(auth[name])) : undefined;
  if (!isObject(auth) || list === undefined) return null;
  const ends = (auth[`${list}_until`] ?? []) as readonly (string | null)[];
  const limit = nowMs + overlap;
  const earlier = (auth[list] as readonly string[])
    .map((one, i) => ({ one, end: Math.min(limit, ends[i] ? Date.parse(ends[i]) : Infinity) }))
    .filter(({ one, end }) => end > nowMs && one !== secret)
    .slice(0, MOST_LIVE - 1);
  const until = earlier.map(({ end }) => new Date(end).toISOString());
  return {
    config: {
      ...config,
      auth: { ...auth, [list]: [secret, ...earlier.map(({ one }) => one)], [`${list}_until`]: [null, ...until] },
    },
    live: earlier.length + 1,
    earlierUntil: until.sort().at(-1) ?? null,
  };
}
