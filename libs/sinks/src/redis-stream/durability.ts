import type { Check } from '@planasonix/core';
import type { Redis } from 'ioredis';

/** How this Redis keeps what it was told. */
export interface Durability {
  readonly fsync: 'always' | 'everysec' | 'none' | 'unknown';
  readonly mayEvict: boolean;
  /** Size in bytes from which its AOF is rewritten; `null` where it is not, or where that can't be read. */
  readonly rewritesFrom: number | null;
}

/**
 * A rewrite copies the whole log in a second process, and each doubling of a small AOF makes one. 900,000 entries that
 * fill an empty log cost Redis 12.3 µs each without one, and 17.7 with Redis' default of 64 MB (README.md).
 */
const REWRITES_OFTEN_BELOW = 512 * 1024 * 1024;

/** fsync runs each second and may be one late. */
const EVERYSEC_MS = 2_000;

export const settleDelayMs = (found: Durability): number => (found.fsync === 'always' ? 0 : EVERYSEC_MS);

/** CONFIG may be forbidden (managed Redis): then nothing better than `everysec` is assumed. */
export async function readDurability(redis: Redis): Promise<Durability> {
  const settings = new Map<string, string>();
  try {
    const found = ['*append*', 'maxmemory*', 'auto-aof-rewrite-*'].map((pattern) => redis.config('GET', pattern));
    for (const flat of (await Promise.all(found)) as string[][])
      for (let i = 0; i + 1 < flat.length; i += 2) settings.set(flat[i]!, flat[i + 1]!);
  } catch (error) {
    if (!(error instanceof Error) || !/^(ERR|NOPERM)/.test(error.message)) throw error;
  }
  const mayEvict =
    (settings.get('maxmemory') ?? '0') !== '0' && (settings.get('maxmemory-policy') ?? 'noeviction') !== 'noeviction';
  return { fsync: fsyncOf(settings), mayEvict, rewritesFrom: rewritesFrom(settings) };
}

function fsyncOf(settings: ReadonlyMap<string, string>): Durability['fsync'] {
  if (!settings.has('appendonly')) return 'unknown';
  if (settings.get('appendonly') !== 'yes' || settings.get('appendfsync') === 'no') return 'none';
  // With this setting "always" pauses while the AOF is rewritten.
  if (settings.get('appendfsync') === 'always' && settings.get('no-appendfsync-on-rewrite') !== 'yes') return 'always';
  return 'everysec';
}

function rewritesFrom(settings: ReadonlyMap<string, string>): number | null {
  if (settings.get('appendonly') !== 'yes' || settings.get('auto-aof-rewrite-percentage') === '0') return null;
  const bytes = Number(settings.get('auto-aof-rewrite-min-size'));
  return Number.isFinite(bytes) ? bytes : null;
}

export function durabilityChecks(found: Durability): Check[] {
  const checks: Check[] = [];
  if (found.fsync === 'none')
    checks.push({
      code: 'log_not_durable',
      severity: 'warning',
      message:
        'The Redis of the log does not write to disk: a crash loses events that the source has been told to forget.',
      fix: 'CONFIG SET appendonly yes; CONFIG SET appendfsync always',
    });
  if (found.fsync === 'everysec')
    checks.push({
      code: 'log_fsync_everysec',
      severity: 'info',
      message: 'The Redis of the log syncs once a second: sources are acknowledged 2 s late.',
      fix: 'CONFIG SET appendfsync always',
    });
  if (found.fsync === 'unknown')
    checks.push({
      code: 'log_settings_unknown',
      severity: 'info',
      message: 'CONFIG GET is forbidden at the Redis of the log: sync once a second is assumed.',
      fix: null,
    });
  if (found.mayEvict)
    checks.push({
      code: 'log_may_evict',
      severity: 'warning',
      message: 'The Redis of the log drops keys when its memory is full, and events with them.',
      fix: 'CONFIG SET maxmemory-policy noeviction',
    });
  if (found.rewritesFrom !== null && found.rewritesFrom < REWRITES_OFTEN_BELOW)
    checks.push({
      code: 'log_rewrites_often',
      severity: 'info',
      message: 'The Redis of the log rewrites its file from a small size on, which costs up to half as much CPU again.',
      fix: 'CONFIG SET auto-aof-rewrite-min-size 1gb',
    });
  return checks;
}
