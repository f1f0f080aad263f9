/** Both keys of a stream share the hash tag `{id}`, so that Redis Cluster keeps them on one node. */
export const eventsKey = (streamId: string): string => `plnx:events:{${streamId}}`;
export const logKey = (streamId: string): string => `plnx:log:{${streamId}}`;
