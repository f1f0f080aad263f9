import { Counters } from '../counters.js';
import type { PumpLimits } from '../pump-limits.js';
import { Pump } from '../pump.js';
import { FakeLedger } from './fake-ledger.js';
import { FakeLog } from './fake-log.js';
import { FakeServer } from './fake-source.js';
import { ManualClock, settleAll } from './manual-clock.js';
import { SilentLog } from './silent-log.js';

export const ID = 'str_1';

/** The ids of the first events. */
export const ids = (last: number) => Array.from({ length: last }, (_, i) => `e-${i + 1}`);

/** A server, a log and a ledger, and pumps between them. The law is held at the moment of each acknowledgement. */
export function pumpWorld(limits: Partial<PumpLimits> = {}) {
  const clock = new ManualClock();
  const log = new FakeLog();
  const server = new FakeServer(() => clock.now());
  const ledger = new FakeLedger(clock);
  ledger.add(ID, { epoch: 1 });
  const counters = new Counters(ID, 'fake', 1);
  const state = { mayWrite: true, connected: 0, settled: 0 };
  // The law, held at the very moment of each acknowledgement. Invariant 1
  server.onAck = (upTo) => {
    expect(Number(ledger.row(ID).positions.get('') ?? 0)).toBeGreaterThanOrEqual(upTo);
    expect(Number(log.positions.get('') ?? 0)).toBeGreaterThanOrEqual(upTo);
    if (upTo > 0) expect(log.ids).toContain(`e-${upTo}`);
  };
  async function pump(overlap = 0, epoch = 1) {
    const sink = log.sink(epoch);
    const opened = await sink.open();
    const made = new Pump({
      source: server.source(overlap),
      sink,
      ledger,
      orders: opened.orders,
      held: { streamId: ID, epoch },
      clock,
      log: new SilentLog(),
      counters,
      limits,
      mayWrite: () => state.mayWrite,
      onConnected: () => state.connected++,
      onSettled: () => state.settled++,
    });
    const abort = new AbortController();
    const outcome: { end: unknown } = { end: null };
    const run = made.run(opened.positions, abort.signal).then(
      () => (outcome.end = 'over'),
      (error: unknown) => (outcome.end = error),
    );
    await settleAll();
    return { pump: made, run, outcome, abort, sink };
  }
  return { clock, log, server, ledger, counters, state, pump };
}
