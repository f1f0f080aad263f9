/** The log of a scene as a consumer reads it: in Redis, or in Kafka. */
import type { Redis } from 'ioredis';
import { logKey, logPages, readLog, type LogEvent } from '../log.js';

export interface Read {
  readonly event: LogEvent;
  /** When it was there for a consumer, ms of this machine's clock. */
  readonly durableAt: number;
}

/** What is to become of the log of a stream. */
export type Fate = 'kept' | 'expires' | 'gone';

export interface SceneLog {
  /** What has come to the log of the scene's stream since the last call. */
  read(streamId: string): Promise<readonly Read[]>;
  /** Begins at its beginning again. */
  again(): void;
  /** What is in the log of any stream of the scene. @param after the entry of the last event that was read; `null`: all */
  pages(streamId: string, after: string | null): AsyncIterable<readonly LogEvent[]>;
  fate(streamId: string): Promise<Fate>;
  /** What may have become of it after a delete with purge. */
  readonly purged: readonly Fate[];
  /** Takes out of the log what was read, where that can be done. */
  trim(streamId: string): Promise<void>;
}

/** @param redis asked each time: a fail-over gives another one */
export function redisSceneLog(redis: () => Redis): SceneLog {
  let last: string | null = null;
  return {
    purged: ['gone'],
    async read(streamId) {
      const events = await readLog(redis(), streamId, last);
      last = events.at(-1)?.entry ?? last;
      return events.map((event) => ({ event, durableAt: Number(event.entry.split('-')[0]) }));
    },
    again() {
      last = null;
    },
    pages: (streamId, after) => logPages(redis(), streamId, after),
    async fate(streamId) {
      const ttl = await redis().ttl(logKey(streamId));
      return ttl === -2 ? 'gone' : ttl === -1 ? 'kept' : 'expires';
    },
    async trim(streamId) {
      if (last !== null) await redis().xtrim(logKey(streamId), 'MINID', '~', last);
    },
  };
}
