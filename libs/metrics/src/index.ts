export { SPANS, WINDOWS, type MetricsWindow } from './keys.js';
export * from './metrics-store.js';
