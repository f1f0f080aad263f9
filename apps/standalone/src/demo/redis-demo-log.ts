import type { Redis as RedisClient } from 'ioredis';
import type { DemoLog, LoggedEvent } from './demo-log.js';

const PAGE = 1000;

type Entry = readonly [id: string, fields: readonly string[]];

function eventOf([id, fields]: Entry): LoggedEvent {
  const entry: Record<string, string> = {};
  for (let at = 0; at < fields.length; at += 2) entry[fields[at]!] = fields[at + 1]!;
  return { ...(entry as unknown as LoggedEvent), loggedAt: Number(id.split('-')[0]) };
}

export function redisDemoLog(redis: RedisClient, port: number, streamId: string): DemoLog {
  const key = `plnx:events:{${streamId}}`;
  return {
    depth: () => redis.xlen(key),
    async newest(count) {
      return (await redis.xrevrange(key, '+', '-', 'COUNT', count)).reverse().map(eventOf);
    },
    async *all() {
      for (let from = '-'; ;) {
        const page = await redis.xrange(key, from, '+', 'COUNT', PAGE);
        for (const entry of page) yield eventOf(entry);
        if (page.length < PAGE) return;
        from = `(${page.at(-1)![0]}`;
      }
    },
    howToLook: `redis-cli -p ${port} XREVRANGE '${key}' + - COUNT 2`,
    close: () => Promise.resolve(),
  };
}
