/** All keys of a stream share the hash tag `{id}`, so that Redis Cluster keeps them on one node. */
export const eventsKey = (streamId: string): string => `plnx:events:{${streamId}}`;
export const logKey = (streamId: string): string => `plnx:log:{${streamId}}`;
/** The stream's name within a transaction that appends to it; outside of one what a refused batch left, until the next opening. */
export const borrowedKey = (streamId: string): string => `plnx:borrowed:{${streamId}}`;
/** What many writers count together, the last answers that they gave, and what makes a repeated delivery known. */
export const countsKey = (streamId: string): string => `plnx:counts:{${streamId}}`;
export const answersKey = (streamId: string): string => `plnx:answers:{${streamId}}`;
export const failuresKey = (streamId: string): string => `plnx:answers:{${streamId}}:failed`;
export const reportKey = (streamId: string, writer: string): string => `plnx:counts:{${streamId}}:${writer}`;
export const seenKey = (streamId: string, what: string): string => `plnx:seen:{${streamId}}:${what}`;
/** Of a stream whose log is in Kafka: how far its index is, with what is known of its log; what it has; whose turn it is. */
export const indexKey = (streamId: string): string => `plnx:index:{${streamId}}`;
export const knownKey = (streamId: string, topicId: string, what: string): string =>
  `plnx:known:{${streamId}}:${topicId.slice(0, 8)}:${what}`;
export const turnKey = (streamId: string): string => `plnx:turn:{${streamId}}`;
export const queueKey = (streamId: string): string => `plnx:turn:{${streamId}}:queue`;
export const askedKey = (streamId: string): string => `plnx:turn:{${streamId}}:asked`;

/** What the events of the stream `key` say that they come from. */
export const sourceOf = (key: string): string => `/streams/${/\{(.*)\}/.exec(key)![1]}`;
