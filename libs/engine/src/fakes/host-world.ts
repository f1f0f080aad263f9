import type { Check, CounterReport, Source, StreamSpec } from '@planasonix/core';
import type { SourceWishes } from '../deps.js';
import { WorkerHost } from '../host.js';
import { FakeLedger } from './fake-ledger.js';
import { FakeLog } from './fake-log.js';
import { FakeServer } from './fake-source.js';
import { ManualClock } from './manual-clock.js';
import { SilentLog } from './silent-log.js';

/** A server, a log and a ledger, and workers that share them. */
export function hostWorld(clock = new ManualClock()) {
  const log = new FakeLog();
  /** Of the pipelines whose output is Kafka. */
  const otherLog = new FakeLog();
  /** What a check of the log finds. */
  const logChecks: Check[] = [];
  const server = new FakeServer(() => clock.now());
  const ledger = new FakeLedger(clock);
  const lines = new SilentLog();
  const reports: CounterReport[] = [];
  const made: { spec: StreamSpec; source: Source; extras: SourceWishes }[] = [];
  function worker(workerId = 'w1', capacity = 10) {
    const host = new WorkerHost({
      workerId,
      sourceType: 'fake',
      ledger,
      openSink: ({ epoch, output }) => (output.type === 'kafka' ? otherLog : log).sink(epoch),
      checkLog: () => Promise.resolve(logChecks),
      createSource(spec, extras) {
        const source = server.source(1);
        made.push({ spec, source, extras });
        return source;
      },
      clock,
      log: lines,
      random: () => 0.5,
      reportCounters: (some) => void reports.push(...some),
      capacity,
    });
    host.start();
    return host;
  }
  return { clock, log, otherLog, logChecks, server, ledger, lines, reports, made, worker };
}
