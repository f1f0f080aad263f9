import { LEASE_MS } from '@planasonix/core';

/** How long a lease lives without being renewed, in SQL. */
export const LEASE_INTERVAL = `make_interval(secs => ${LEASE_MS / 1000})`;
/** No lease is longer when it is set. Twice its life: the store's clock may be set back a little without a change of owners. */
const LONGEST = `make_interval(secs => ${(2 * LEASE_MS) / 1000})`;

/** In SQL: has not run out. For whoever renews his own: also one that the store's clock, set back, has left far ahead. */
export const lasts = (until: string): string => `${until} > clock_timestamp()`;

/**
 * In SQL: somebody holds it. One that ends further ahead than anybody sets it is from before the store's clock was set
 * back. Its owner may be dead, so it is free; one who lives has renewed it by the new clock, or is barred by the epoch (Invariant 3).
 */
export const isHeld = (until: string): string => `(${lasts(until)} AND ${until} <= clock_timestamp() + ${LONGEST})`;
