export { backoffMs } from './backoff.js';
export { type EngineDeps, type ReportCounters, type SourceExtras, type SourceWishes } from './deps.js';
export { type HostHealth, WorkerHost, type WorkerHostOptions } from './host.js';
export { LEASE } from './lease.js';
export { PUMP_LIMITS, type PumpLimits } from './pump-limits.js';
export { Pump, type PumpDeps } from './pump.js';
export { within } from './within.js';
export type { RunnerEnd } from './runner-deps.js';
export { StreamRunner } from './runner.js';
