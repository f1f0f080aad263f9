export { sinkConformance, type SinkUnderTest } from './sink-conformance.js';
export { commit, eventOf } from './events.js';
