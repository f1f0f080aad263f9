/** Both keys of a stream share the hash tag `{id}`, so that Redis Cluster keeps them on one node. */
export const eventsKey = (streamId: string): string => `plnx:events:{${streamId}}`;
export const logKey = (streamId: string): string => `plnx:log:{${streamId}}`;
/** What many writers count together, the last answers that they gave, and what makes a repeated delivery known. */
export const countsKey = (streamId: string): string => `plnx:counts:{${streamId}}`;
export const answersKey = (streamId: string): string => `plnx:answers:{${streamId}}`;
export const reportKey = (streamId: string, writer: string): string => `plnx:counts:{${streamId}}:${writer}`;
export const seenKey = (streamId: string, what: string): string => `plnx:seen:{${streamId}}:${what}`;
