export * from './lsn.js';
export type { GateSlot, RelationColumn, RelationInfo, RowGate, WrittenChange } from './relation.js';
export * from './snapshot-encoder.js';
export * from './stream-decoder.js';
export * from './type-catalog.js';
