import type { StreamError } from './errors.js';
import type { LastError } from './stream.js';

/** A finding of a preflight: what is so, how bad it is, and the exact thing that mends it. */
export interface Check {
  /** Stable, from the catalogue in `errors.ts` where the finding would stop the stream. */
  readonly code: string;
  readonly severity: 'error' | 'warning' | 'info';
  /** One sentence for a person. Never a secret, never a row value. */
  readonly message: string;
  /** SQL or a setting that can be pasted; `null` where there is nothing to do. */
  readonly fix: string | null;
}

/** Codes of findings about a log that stop no stream; the text is the documentation. `log_not_durable` and `log_may_evict` warn. */
export const LOG_FINDINGS = {
  log_not_durable:
    'What the source was told to forget may be lost: the log does not write to disk, may be on one broker alone, or will forget how far the stream is.',
  log_may_evict: 'The Redis drops keys when its memory is full.',
  log_fsync_everysec: 'The Redis of the log syncs once a second: sources are acknowledged 2 s late.',
  log_settings_unknown: 'The settings of the Redis of the log may not be read: sync once a second is assumed.',
  log_rewrites_often: 'The Redis of the log rewrites its file from a small size on.',
  topic_compacted: 'The topic is compacted: of each key the last event stays, and events without a key are refused.',
} as const satisfies Readonly<Record<string, string>>;

/** What a connection test found (`POST /api/connections/test`). */
export interface ConnectionReport {
  readonly ok: boolean;
  /** Milliseconds from dialling to the first answer, or `null` if there was none. */
  readonly latencyMs: number | null;
  readonly serverVersion: string | null;
  readonly message: string;
  readonly checks: readonly Check[];
}

export const passes = (checks: readonly Check[]): boolean => checks.every((check) => check.severity !== 'error');

/** A failure as a finding. */
export const findingOf = ({ code, message, hint }: Pick<LastError, 'code' | 'message' | 'hint'>): Check => ({
  ...{ code, severity: 'error', message, fix: hint },
});

/** Of a test that passed. @param lacking what keeps a stream of changes from being read over the connection */
export const worksFor = (lacking: readonly Pick<Check, 'message'>[]): string =>
  lacking.length === 0
    ? 'The connection works.'
    : `The connection works, but no changes can be read over it: ${lacking.map(({ message }) => message).join(' ')}`;

/** Of a test that this failure ended. */
export const failedTest = (failure: StreamError): ConnectionReport => ({
  ...{ ok: false, latencyMs: null, serverVersion: null, message: failure.message, checks: [findingOf(failure)] },
});
