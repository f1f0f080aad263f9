import { Limit, StreamError, type Check, type Source, type StreamSpec } from '@planasonix/core';
import type { EngineDeps } from './deps.js';
import { failureOf, failureOfChecks, type Failure } from './failure.js';
import { within } from './within.js';

const CHECK_MS = 15_000;

/** The stream can't run: why, as the runner acts on it. */
export class PreflightFailed extends Error {
  constructor(readonly failure: Failure) {
    super(failure.message);
  }
}

/**
 * Asks the source whether the stream can run and, for a start, its log too: somebody waits for what becomes of it. What ran
 * already hears from its log by writing.
 * @param of `givesUp`: the lost position is given up
 * @throws PreflightFailed, or why `signal` was aborted
 */
export async function preflight(
  { clock, log, checkLog }: Pick<EngineDeps, 'clock' | 'log' | 'checkLog'>,
  of: { readonly spec: StreamSpec; readonly source: Source; readonly givesUp: boolean; readonly signal: AbortSignal },
): Promise<void> {
  const { spec, source, givesUp, signal } = of;
  const starts = spec.status === 'starting';
  const limit = new Limit(signal);
  const [found, ofLog] = await Promise.all([
    within(clock, CHECK_MS, source.check(limit.signal), limit.signal),
    starts && checkLog !== undefined ? logFindings(clock, checkLog(spec), limit.signal) : [],
  ]).finally(() => limit.end());
  signal.throwIfAborted();
  const failure =
    found === 'late'
      ? failureOf(new StreamError('source_unreachable', `It did not answer within ${CHECK_MS / 1_000} s`), log, spec.id)
      : failureOfChecks([...found, ...ofLog], { givesUp, runs: spec.status === 'running' });
  if (failure) throw new PreflightFailed({ ...failure, ofStart: starts });
}

/** A log that can't be looked at is no finding: it was opened, and says by itself what it does not take. */
async function logFindings(clock: EngineDeps['clock'], asked: Promise<readonly Check[]>, signal: AbortSignal) {
  const found = await within(clock, CHECK_MS, asked, signal).catch(() => 'late' as const);
  return found === 'late' ? [] : found;
}
