import { monotonicFactory } from 'ulid';

export type IdPrefix = 'str' | 'pl' | 'conn' | 'key' | 'ws' | 'draft' | 'snap' | 'fgt' | 'dlq';

const next = monotonicFactory();

/** Prefix and ULID in lower case. Ids of one process grow strictly, so "newest first" is "greatest id first". */
export const newId = (prefix: IdPrefix): string => `${prefix}_${next().toLowerCase()}`;
