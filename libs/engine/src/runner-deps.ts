import type { StreamSpec } from '@planasonix/core';
import type { EngineDeps } from './deps.js';

export interface RunnerDeps {
  readonly engine: EngineDeps;
  readonly spec: StreamSpec;
  /** Does the lease hold, by the monotonic clock? */
  mayWrite(): boolean;
  /** The row has moved on: fetch the new view and `apply` it. */
  refresh(): void;
}

/**
 * Why a runner ended. `lost`: somebody else has the stream, or may have it; nothing was written. `broken`: a fault of ours;
 * the lease runs out first, so that it is not met again at once.
 */
export type RunnerEnd = 'stopped' | 'error' | 'released' | 'lost' | 'broken';
