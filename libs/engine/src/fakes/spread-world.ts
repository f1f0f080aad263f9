import {
  Bell,
  type ChangeBatch,
  type ChangeEvent,
  CONNECTED,
  type CounterReport,
  isIn,
  type Share,
  type Source,
} from '@planasonix/core';
import { WorkerHost } from '../host.js';
import { FakeLedger } from './fake-ledger.js';
import { FakeLog } from './fake-log.js';
import { FakeSpreadLedger } from './fake-spread-ledger.js';
import { ManualClock } from './manual-clock.js';
import { SilentLog } from './silent-log.js';

const BATCH = 5;

/** A topic with partitions `t/0`, `t/1`, …; its sources read their share. */
export class FakeTopic {
  readonly counts: number[];
  readonly changed = new Bell();
  /** Thrown by whoever reads this partition. */
  readonly broken = new Map<number, Error>();
  /** Shares that are being read, by worker. */
  readonly readers = new Map<string, Share>();

  constructor(
    partitions: number,
    private readonly now: () => number,
  ) {
    this.counts = Array.from({ length: partitions }, () => 0);
  }

  /** Puts `count` more into every partition. */
  put(count: number): void {
    for (let i = 0; i < this.counts.length; i++) this.counts[i]! += count;
    this.changed.ring();
  }

  get ids(): string[] {
    return this.counts.flatMap((count, i) => Array.from({ length: count }, (_, n) => `t/${i}:${n}`));
  }

  source(worker: string, share: Share): Source {
    // eslint-disable-next-line @typescript-eslint/no-this-alias -- the source is a view of this topic
    const topic = this;
    const ours = topic.counts.map((_, i) => i).filter((i) => isIn(share, `t/${i}`));
    return {
      check: () => Promise.resolve([]),
      async *read(from, signal) {
        topic.readers.set(worker, share);
        const stop = () => topic.changed.ring();
        signal.addEventListener('abort', stop, { once: true });
        try {
          if (from.size === 0) yield { partition: '#starts', events: [], position: 'all' };
          yield CONNECTED;
          const at = new Map(ours.map((i) => [i, Number(from.get(`t/${i}`) ?? 0)]));
          while (!signal.aborted) {
            const seen = topic.changed.count;
            for (const i of ours) {
              if (topic.broken.has(i)) throw topic.broken.get(i)!;
              const next = Math.min(topic.counts[i]!, at.get(i)! + BATCH);
              if (next > at.get(i)!) yield topic.#batch(i, at.get(i)!, next);
              at.set(i, next);
            }
            if (ours.every((i) => at.get(i) === topic.counts[i])) await topic.changed.wait(seen);
          }
        } finally {
          topic.readers.delete(worker);
          signal.removeEventListener('abort', stop);
        }
      },
      ack: () => Promise.resolve(),
      lag: () => Promise.resolve({ oldestPendingMs: null, provedAtMs: topic.now(), backlogBytes: null, backlogRecords: ours.length }), // prettier-ignore
      shares: () => topic.counts.length,
      snapshot: () => null,
      release: () => Promise.resolve({ released: [], remaining: [] }),
      close: () => Promise.resolve(),
    };
  }

  #batch(partition: number, first: number, next: number): ChangeBatch {
    const timeMs = this.now();
    const event = (n: number): ChangeEvent => ({
      ...{ id: `t/${partition}:${n}`, type: 't', subject: 't', time: new Date(timeMs).toISOString(), timeMs },
      ...{ partitionkey: '', data: Buffer.from(`{"n":${n}}`), order: String(n).padStart(9, '0') },
    });
    const events = Array.from({ length: next - first }, (_, i) => event(first + i));
    return { partition: `t/${partition}`, events, position: String(next) };
  }
}

/** A topic, a log and a ledger, and workers that share its partitions. */
export function spreadWorld(partitions: number) {
  const clock = new ManualClock();
  const topic = new FakeTopic(partitions, () => clock.now());
  const log = new FakeLog();
  const ledger = new FakeLedger(clock);
  const spread = new FakeSpreadLedger(clock, ledger);
  const last: { report: CounterReport | null } = { report: null };
  /** Of every report, in their order. */
  const totals: number[] = [];
  const backlogs: (number | null | undefined)[] = [];
  function worker(workerId: string) {
    const host = new WorkerHost({
      ...{ workerId, sourceType: 'fake', ledger, spread, clock, log: new SilentLog(), random: () => 0.5 },
      openSink: (spec, seat) => log.sink(spec.epoch, seat),
      createSource: (_, { share }) => topic.source(workerId, share),
      reportCounters(some) {
        last.report = some.at(-1) ?? null;
        totals.push(...some.map(({ total_events: events }) => events));
        backlogs.push(...some.map(({ backlog_records: records }) => records));
      },
    });
    host.start();
    return host;
  }
  return { clock, topic, log, ledger, spread, last, totals, backlogs, worker };
}
