import {
  Bell,
  type ChangeBatch,
  type ChangeEvent,
  type Check,
  CONNECTED,
  type Lag,
  type Positions,
  type SnapshotProgress,
  type Source,
} from '@planasonix/core';

const order = (n: number) => String(n).padStart(8, '0');

/** A server with one log of numbered commits; sources of it come and go. */
export class FakeServer {
  /** Commits so far: `first` to `last` event of each. */
  readonly commits: { first: number; last: number }[] = [];
  /** Acknowledged up to this event. */
  acked = 0;
  /** Every acknowledgement, with what held when it came. */
  readonly acks: string[] = [];
  /** Called with each acknowledged event's number: the place for a test's invariants. */
  onAck: (upTo: number) => void = () => undefined;
  checks: readonly Check[] = [];
  checkHangs = false;
  /** Thrown by the next read. */
  failure: Error | null = null;
  /** Partitions whose beginning a read without positions tells before it is connected. */
  begins: readonly string[] = [];
  /** Once connected a read never gives anything again, whatever its signal says. */
  readHangs = false;
  /** Answers a read: before it, nothing is connected. */
  answers = true;
  /** Ends by itself after what there is (`snapshot: "only"`). */
  ends = false;
  progress: SnapshotProgress | 'over' | null = null;
  readers = 0;
  mostReaders = 0;
  reads: Positions[] = [];
  closes = 0;
  lagged: Lag = { oldestPendingMs: null, provedAtMs: null, backlogBytes: null };
  /** How often a source was told of orders; `null`: its sources take none. */
  ordersTold: number | null = 0;
  lagFailure: Error | null = null;
  readonly changed = new Bell();

  constructor(private readonly now: () => number) {}

  get last(): number {
    return this.commits.at(-1)?.last ?? 0;
  }

  commit(events: number): void {
    this.commits.push({ first: this.last + 1, last: this.last + events });
    this.changed.ring();
  }

  fail(error: Error): void {
    this.failure = error;
    this.changed.ring();
  }

  event(n: number): ChangeEvent {
    const timeMs = this.now();
    return {
      id: `e-${n}`,
      type: 't',
      subject: 's',
      time: new Date(timeMs).toISOString(),
      timeMs,
      partitionkey: '',
      data: Buffer.from(`{"n":${n}}`),
      order: order(n),
    };
  }

  batch({ first, last }: { first: number; last: number }, position = true): ChangeBatch {
    const events = Array.from({ length: last - first + 1 }, (_, i) => this.event(first + i));
    return { partition: '', events, position: position ? String(last) : null };
  }

  /** @param overlap how many commits before its position a reader begins */
  source(overlap = 0): Source {
    // eslint-disable-next-line @typescript-eslint/no-this-alias -- the source is a view of this server
    const server = this;
    let closed = false;
    return {
      check: () => (server.checkHangs ? new Promise(() => undefined) : Promise.resolve(server.checks)),
      async *read(from, signal) {
        server.reads.push(from);
        server.mostReaders = Math.max(server.mostReaders, ++server.readers);
        try {
          while (!server.answers && !server.failure && !signal.aborted) await changedOr(server.changed, signal);
          if (server.failure) throw take(server);
          if (from.size === 0) for (const partition of server.begins) yield { partition, events: [], position: '0' };
          yield CONNECTED;
          if (server.readHangs) await new Promise(() => undefined);
          const at = Number(from.get('') ?? 0);
          let next = Math.max(
            0,
            server.commits.findIndex((commit) => commit.last > at),
          );
          if (server.commits.every((commit) => commit.last <= at)) next = server.commits.length;
          next = Math.max(0, next - overlap);
          while (!signal.aborted) {
            if (server.failure) throw take(server);
            const commit = server.commits[next];
            if (commit) {
              next++;
              // A larger commit comes in parts.
              const middle = commit.last - commit.first > 2 ? commit.first + 1 : 0;
              if (middle) yield server.batch({ first: commit.first, last: middle }, false);
              yield server.batch({ first: middle ? middle + 1 : commit.first, last: commit.last });
            } else if (server.ends) return;
            else await changedOr(server.changed, signal);
          }
        } finally {
          server.readers--;
        }
      },
      ack(_partition, position) {
        if (closed) throw new Error('acknowledged after close');
        server.acks.push(position);
        server.onAck(Number(position));
        server.acked = Math.max(server.acked, Number(position));
        return Promise.resolve();
      },
      ...(server.ordersTold === null ? {} : { ordersChanged: () => void (server.ordersTold! += 1) }),
      lag: () => (server.lagFailure === null ? Promise.resolve(server.lagged) : Promise.reject(server.lagFailure)),
      snapshot: () => server.progress,
      release: () => Promise.resolve({ released: [], remaining: [] }),
      close() {
        closed = true;
        server.closes++;
        return Promise.resolve();
      },
    };
  }
}

function take(server: FakeServer): Error {
  const failure = server.failure!;
  server.failure = null;
  return failure;
}

async function changedOr(changed: Bell, signal: AbortSignal): Promise<void> {
  const seen = changed.count;
  if (signal.aborted) return;
  const over = new AbortController();
  await Promise.race([
    changed.wait(seen),
    new Promise<void>((resolve) =>
      signal.addEventListener('abort', () => resolve(), { once: true, signal: over.signal }),
    ),
  ]);
  over.abort();
}
