/** Reading a Redis log as a consumer would, and folding it by key into what the tables should hold. */
import type { Redis } from 'ioredis';

export interface LogEvent {
  readonly entry: string;
  readonly id: string;
  readonly type: string;
  readonly subject: string;
  readonly time: string;
  readonly partitionkey: string;
  readonly source: string;
  readonly data: {
    readonly op: 'c' | 'u' | 'd' | 'r' | 't';
    readonly before: Record<string, unknown> | null;
    readonly after: Record<string, unknown> | null;
    readonly unchanged?: readonly string[];
    readonly source: Record<string, unknown>;
  };
  /** The data as it stands in the log. */
  readonly text: string;
}

export const logKey = (streamId: string): string => `plnx:events:{${streamId}}`;

/** @param after the entry of the last event that was read; `null`: from the beginning. */
export async function readLog(redis: Redis, streamId: string, after: string | null = null): Promise<LogEvent[]> {
  const events: LogEvent[] = [];
  for await (const page of logPages(redis, streamId, after)) events.push(...page);
  return events;
}

const PAGE = 5000;

/** As `readLog`, for logs that are not to be held in memory. */
export async function* logPages(redis: Redis, streamId: string, after: string | null): AsyncGenerator<LogEvent[]> {
  for (let from = after === null ? '-' : `(${after}`; ;) {
    const page = await redis.xrange(logKey(streamId), from, '+', 'COUNT', PAGE);
    yield page.map(([entry, fields]) => {
      const of: Record<string, string> = {};
      for (let i = 0; i < fields.length; i += 2) of[fields[i]!] = fields[i + 1]!;
      const { id = '', type = '', subject = '', time = '', partitionkey = '', source = '', data = 'null' } = of;
      return { entry, id, type, subject, time, partitionkey, source, text: data, data: JSON.parse(data) };
    });
    if (page.length < PAGE) return;
    from = `(${page.at(-1)![0]}`;
  }
}

/**
 * `subject` + key → the newest row. A reader who does only this ends with what the source holds. A changed key is a
 * delete and, next in the same transaction, an insert: values that were not sent again are those of the deleted row.
 */
export class Folded {
  readonly rows = new Map<string, Record<string, unknown>>();
  #gone: { place: string; row: Record<string, unknown> | undefined } | null = null;

  take(event: LogEvent): void {
    const { rows } = this;
    const at = `${event.subject} ${event.partitionkey}`;
    const { commit_lsn: lsn, seq } = event.data.source as { commit_lsn: string; seq: number };
    const { op } = event.data;
    const moved = op === 'c' && this.#gone?.place === `${lsn} ${seq}` ? this.#gone.row : undefined;
    this.#gone = op === 'd' ? { place: `${lsn} ${seq + 1}`, row: rows.get(at) } : null;
    if (op === 't') this.forget(event.subject);
    else if (op === 'd') rows.delete(at);
    else {
      const kept = Object.fromEntries(
        (event.data.unchanged ?? []).map((name) => [name, (rows.get(at) ?? moved)?.[name]]),
      );
      rows.set(at, { ...kept, ...event.data.after });
    }
  }

  /** All rows of a table. */
  forget(subject: string): void {
    for (const key of [...this.rows.keys()]) if (key.startsWith(`${subject} `)) this.rows.delete(key);
  }
}

export function fold(events: readonly LogEvent[]): Map<string, Record<string, unknown>> {
  const folded = new Folded();
  for (const event of events) folded.take(event);
  return folded.rows;
}

export const repeatedIds = (events: readonly LogEvent[]): number =>
  events.length - new Set(events.map((e) => e.id)).size;
