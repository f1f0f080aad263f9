export { backoffMs } from './backoff.js';
export { type EngineDeps, type ReportCounters, type SourceExtras, type SourceWishes } from './deps.js';
export { type HostHealth, WorkerHost, type WorkerHostOptions } from './host.js';
export { LEASE } from './lease.js';
export { Pump, PUMP_LIMITS, type PumpDeps, type PumpLimits } from './pump.js';
export { within } from './within.js';
export { type RunnerEnd, StreamRunner } from './runner.js';
