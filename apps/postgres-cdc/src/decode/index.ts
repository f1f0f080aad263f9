export * from './lsn.js';
export {
  keyOf,
  type GateSlot,
  type RelationColumn,
  type RelationInfo,
  type RowGate,
  type WrittenChange,
} from './relation.js';
export * from './snapshot-encoder.js';
export * from './stream-decoder.js';
export * from './type-catalog.js';
