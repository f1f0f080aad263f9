import { PATIENT, type Failure } from './failure.js';

const LEAST_MS = 200;
const MOST_MS = 30_000;
/** Where somebody else has to come back: an attempt costs one connection, and the stream goes on soon after. */
const MOST_PATIENT_MS = 5_000;

/**
 * How long to wait before the next attempt: exponential with full jitter, 0.2 to 30 s; to 5 s during an outage.
 * @param failures consecutive failures so far, 1 or more
 * @param random 0 to 1
 */
export function backoffMs(failure: Pick<Failure, 'code'>, failures: number, random: number): number {
  const most = PATIENT.has(failure.code) ? MOST_PATIENT_MS : MOST_MS;
  const ceiling = Math.min(most, LEAST_MS * 2 ** Math.min(Math.max(failures, 1), 20));
  return LEAST_MS + random * (ceiling - LEAST_MS);
}
