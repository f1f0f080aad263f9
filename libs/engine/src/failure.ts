import {
  losesPosition,
  STREAM_ERRORS,
  StreamError,
  type Check,
  type Clock,
  type LastError,
  type Log,
  type Recourse,
} from '@planasonix/core';

/** A failure as the runner acts on it: from a `StreamError`, from a finding of a preflight, or from a fault of ours. */
export interface Failure {
  readonly code: string;
  readonly recourse: Recourse;
  readonly message: string;
  readonly hint: string | null;
  /** Of the preflight of a start: the user waits for what becomes of it. */
  readonly ofStart?: boolean;
}

/** Failures that wait for somebody else to come back: retried for as long as it takes. */
export const PATIENT: ReadonlySet<string> = new Set<string>([
  'source_unreachable',
  'log_unavailable',
  'store_unavailable',
  'too_many_connections',
  'xa_prepared',
  'secrets_sealed',
]);
/** Others that a retry may mend are given up after so many in a row. */
const MOST_RETRIES = 20;
/** So many where the source can't be reached when a stream is started: some ten seconds where it refuses at once. */
const MOST_AT_START = 7;

export function failureOf(error: unknown, log: Log, streamId: string): Failure {
  if (error instanceof StreamError)
    return { code: error.code, recourse: error.recourse, message: error.message, hint: error.hint };
  // Not a StreamError: a fault of this system. Its text may hold anything, so it stays in the log.
  log.error({ streamId, err: error }, 'unexpected failure of a stream');
  const name = error instanceof Error ? error.name : typeof error;
  return {
    code: 'internal',
    recourse: STREAM_ERRORS.internal.recourse,
    message: `Unexpected failure (${name})`,
    hint: STREAM_ERRORS.internal.hint,
  };
}

/** Findings that may be of one new table alone. */
const OF_TABLES: ReadonlySet<string> = new Set(['no_replica_identity', 'permission_denied', 'publication_incomplete']);

/**
 * The first finding that stops the stream, or `null`; a lost position goes before all others, for a start has to say what
 * becomes of it. A code that the catalogue does not know is fatal.
 *
 * @param of `givesUp`: the lost position is given up, so nothing of it is read, and that it is lost is no failure. `runs`: another
 *   worker had it running, so it goes on without a table that can't be taken up yet: what it needs it hears of by reading.
 */
export function failureOfChecks(
  checks: readonly Check[],
  of: { readonly givesUp?: boolean; readonly runs?: boolean } = {},
): Failure | null {
  const excused = (code: string): boolean =>
    (of.givesUp === true && losesPosition(code)) || (of.runs === true && OF_TABLES.has(code));
  const stopping = checks.filter(({ severity, code }) => severity === 'error' && !excused(code));
  const found = stopping.find(({ code }) => losesPosition(code)) ?? stopping[0];
  if (!found) return null;
  const known = found.code in STREAM_ERRORS ? STREAM_ERRORS[found.code as keyof typeof STREAM_ERRORS] : null;
  return {
    code: found.code,
    recourse: known?.recourse ?? 'fatal',
    message: found.message,
    hint: found.fix ?? known?.hint ?? null,
  };
}

/** Failures in a row. */
export class Failures {
  #count = 0;
  /** Those of them, the last ones, at which a start could not reach its source. */
  #unreached = 0;

  get count(): number {
    return this.#count;
  }

  clear(): void {
    this.#count = this.#unreached = 0;
  }

  note(failure: Failure, progressed: boolean): void {
    this.#count = progressed ? 1 : this.#count + 1;
    this.#unreached = failure.ofStart === true && failure.code === 'source_unreachable' ? this.#unreached + 1 : 0;
  }

  /** What becomes of the stream after the last one. */
  verdict(failure: Failure): 'retry' | 'error' | 'fenced' {
    return this.#unreached > MOST_AT_START ? 'error' : verdict(failure, this.#count);
  }
}

/** What becomes of the stream after `failures` failures in a row, this one included. */
export function verdict(failure: Failure, failures: number): 'retry' | 'error' | 'fenced' {
  if (failure.recourse === 'fenced') return 'fenced';
  if (failure.recourse !== 'retry') return 'error';
  return PATIENT.has(failure.code) || failures <= MOST_RETRIES ? 'retry' : 'error';
}

export const lastError = (failure: Failure, clock: Clock): LastError => ({
  code: failure.code,
  message: failure.message,
  hint: failure.hint,
  occurred_at: new Date(clock.now()).toISOString(),
});
