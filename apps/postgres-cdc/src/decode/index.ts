export * from './lsn.js';
export type { RelationColumn, RelationInfo } from './relation.js';
export * from './snapshot-encoder.js';
export * from './stream-decoder.js';
export * from './type-catalog.js';
