/** A source read by a spec in place of the engine: a log in memory, positions that enter it with their events. */
import {
  NO_ORDERS,
  systemClock,
  type ChangeEvent,
  type Log,
  type OnLostPosition,
  type Owned,
  type SnapshotOrder,
  type SourceContext,
} from '@planasonix/core';
import { eventually, type Postgres } from '@planasonix/testing';
import { postgresCdc } from '../source-type.js';

const quiet: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

interface Data {
  readonly op: string;
  readonly after: Record<string, unknown> | null;
  readonly unchanged: readonly string[];
  readonly source: { readonly commit_lsn: string; readonly seq: number };
}

export interface Reading {
  readonly events: ChangeEvent[];
  readonly positions: Map<string, string>;
  /** Orders that are open. */
  readonly orders: SnapshotOrder[];
  readonly closed: { id: string; failed: string | null }[];
  /** Reads until `stop`; goes on where it was. @param beforeEach may throw: the reading ends there, as if it were killed. */
  start(options?: { onLost?: OnLostPosition; beforeEach?: () => void | Promise<void> }): void;
  stop(): Promise<void>;
  /** What ended it, if it ended by itself. */
  outcome(): Promise<unknown>;
  progress(): ReturnType<ReturnType<typeof postgresCdc.create>['snapshot']>;
  ordersChanged(): void;
  rowsDone(timeoutMs?: number): Promise<void>;
  /** Resolves once a row with this text is in the log. */
  seen(text: string): Promise<void>;
  fold(): Map<string, Record<string, unknown>>;
}

export function readingOf(server: Postgres, database: string, config: object, id = 'str_rows'): Reading {
  const events: ChangeEvent[] = [];
  const positions = new Map<string, string>();
  const orders: SnapshotOrder[] = [];
  const closed: { id: string; failed: string | null }[] = [];
  const { host, port, password } = server;
  let owned: Owned = {};
  let source: ReturnType<typeof postgresCdc.create> | null = null;
  let abort = new AbortController();
  let done: Promise<unknown> = Promise.resolve(null);
  const context = (onLostPosition: OnLostPosition | null): SourceContext => ({
    ...{ streamId: id, streamName: id, onLostPosition, owned, clock: systemClock, log: quiet },
    config: { ...config },
    connection: {
      id: 'conn_test',
      type: 'postgres',
      config: { host, port, database, user: 'postgres', password, sslMode: 'disable' },
    },
    outbound: { resolve: (name) => Promise.resolve(name) },
    remember: (more) => Promise.resolve(void (owned = more)),
    orders: {
      ...NO_ORDERS,
      open: () => Promise.resolve(orders.filter((order) => !closed.some((one) => one.id === order.id))),
      close: (order, { failed }) => Promise.resolve(void closed.push({ id: order, failed })),
    },
  });
  const reading: Reading = {
    ...{ events, positions, orders, closed },
    start({ onLost = null, beforeEach = () => undefined } = {}) {
      abort = new AbortController();
      if (onLost !== null) positions.clear();
      const one = (source = postgresCdc.create(context(onLost)));
      done = (async () => {
        try {
          for await (const batch of one.read(new Map(positions), abort.signal)) {
            await beforeEach();
            events.push(...batch.events);
            if (batch.position === null) continue;
            positions.set(batch.partition, batch.position);
            await one.ack(batch.partition, batch.position);
          }
          return null;
        } catch (error) {
          return error;
        } finally {
          await one.close();
        }
      })();
    },
    async stop() {
      abort.abort();
      await done;
    },
    outcome: () => done,
    progress: () => source?.snapshot() ?? null,
    ordersChanged: () => source?.ordersChanged?.(),
    rowsDone: async (timeoutMs = 30_000) => {
      await eventually(
        'the rows are in',
        () => reading.progress()?.state === 'done' && !positions.get('')?.includes('"done":false'),
        { timeoutMs },
      );
    },
    seen: async (text) => {
      await eventually(`${text} is in the log`, () => events.some((event) => event.data.includes(text)), {
        timeoutMs: 30_000,
        everyMs: 20,
      });
    },
    fold: () => fold(events),
  };
  return reading;
}

/** Subject and key → the newest row, as a reader who knows nothing but the contract makes it. */
function fold(events: readonly ChangeEvent[]): Map<string, Record<string, unknown>> {
  const rows = new Map<string, Record<string, unknown>>();
  let gone: { place: string; row: Record<string, unknown> | undefined } | null = null;
  let nameless = 0;
  for (const event of events) {
    const data = JSON.parse(event.data.toString()) as Data;
    const at = `${event.subject} ${event.partitionkey === '' ? `#${nameless++}` : event.partitionkey}`;
    const { commit_lsn: lsn, seq } = data.source;
    const moved = gone?.place === `${lsn} ${seq}` ? gone.row : undefined;
    gone = data.op === 'd' ? { place: `${lsn} ${seq + 1}`, row: rows.get(at) } : null;
    if (data.op === 't') {
      for (const key of [...rows.keys()]) if (key.startsWith(`${event.subject} `)) rows.delete(key);
    } else if (data.op === 'd') rows.delete(at);
    else {
      const before = rows.get(at) ?? moved;
      const kept = Object.fromEntries(data.unchanged.map((name) => [name, before?.[name]]));
      rows.set(at, { ...kept, ...data.after });
    }
  }
  return rows;
}
