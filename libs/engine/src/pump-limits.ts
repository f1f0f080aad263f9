import type { BatchLimits } from './batcher.js';

export interface PumpLimits extends BatchLimits {
  readonly inFlight: number;
  readonly inFlightBytes: number;
  /** So many appends go out with whatever there is; beyond them only full batches do. */
  readonly eager: number;
  readonly settleEveryMs: number;
  /** So long a log may answer no append, unless it says that it waits; then it is given up, and the source with it. */
  readonly answerWithinMs: number;
  /** How long nothing may land before the log is asked whether it is still there. */
  readonly askEveryMs: number;
}

export const PUMP_LIMITS: PumpLimits = {
  batchEvents: 500,
  batchBytes: 600_000,
  inFlight: 8,
  inFlightBytes: 8_000_000,
  eager: 2,
  settleEveryMs: 250,
  answerWithinMs: 60_000,
  askEveryMs: 5_000,
};
