import { StreamError, type ChangeBatch } from '@planasonix/core';
import fc from 'fast-check';
import { Counters } from './counters.js';
import { FakeLedger, FakeLog, FakeServer, ManualClock, settleAll, SilentLog } from './fakes/index.js';
import { Pump, type PumpLimits } from './pump.js';

const ID = 'str_1';

function world(limits: Partial<PumpLimits> = {}) {
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
    expect(log.ids).toContain(`e-${upTo}`);
  };
  async function pump(overlap = 0, epoch = 1) {
    const sink = log.sink(epoch);
    const opened = await sink.open();
    const made = new Pump({
      source: server.source(overlap),
      sink,
      ledger,
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
const ids = (last: number) => Array.from({ length: last }, (_, i) => `e-${i + 1}`);

describe('the pump', () => {
  it('says that it is connected before there is anything to read', async () => {
    const { state, pump } = world();
    const running = await pump();
    expect(state.connected).toBe(1);
    running.abort.abort(new Error('end'));
    await running.run;
  });

  it('hands over at once what comes alone', async () => {
    const { server, log, pump } = world();
    await pump();
    server.commit(1);
    await settleAll();
    expect(log.ids).toEqual(['e-1']);
  });

  it('merges what comes while the log is busy, within its limits (Invariant 6)', async () => {
    const { server, log, pump } = world({ batchEvents: 100, inFlight: 4 });
    log.auto = false;
    await pump();
    for (let i = 0; i < 1_000; i++) server.commit(1);
    await settleAll();
    expect(log.waiting).toBe(4);
    for (let i = 0; i < 100 && log.ids.length < 1_000; i++) {
      log.land(1);
      await settleAll();
    }
    expect(log.ids).toEqual(ids(1_000));
    expect(log.mostInFlight).toBe(4);
    expect(Math.max(...log.sizes)).toBe(100);
    expect(log.sizes.length).toBeLessThan(16);
  });

  it('does not wait for a batch to fill: two are under way at low rate', async () => {
    const { server, log, pump } = world();
    log.auto = false;
    await pump();
    for (let i = 0; i < 5; i++) {
      server.commit(1);
      await settleAll();
    }
    expect(log.waiting).toBe(2);
    log.land();
    await settleAll();
    log.land();
    expect(log.sizes).toEqual([1, 1, 3]);
  });

  it('stops pulling while the log takes nothing (Invariant 6)', async () => {
    const { server, log, pump } = world({ batchEvents: 10, inFlight: 2 });
    log.full = true;
    const { pump: made } = await pump();
    for (let i = 0; i < 1_000; i++) server.commit(1);
    await settleAll();
    expect(log.waiting).toBe(2);
    expect(made.oldestHeld()).not.toBeNull();
    log.full = false;
    log.land();
    await settleAll();
    expect(log.ids).toEqual(ids(1_000));
    expect(made.oldestHeld()).toBeNull();
  });

  it('never puts a part of a commit behind the position of another (Invariant 5)', async () => {
    const { server, log, pump } = world();
    log.auto = false;
    const seen: ChangeBatch[] = [];
    const { sink } = await pump();
    const append = sink.append.bind(sink);
    sink.append = (batch, signal) => {
      seen.push(batch);
      return append(batch, signal);
    };
    for (let i = 0; i < 30; i++) server.commit((i % 5) + 1);
    for (let i = 0; i < 60; i++) {
      await settleAll();
      log.land(1);
    }
    expect(log.ids).toEqual(ids(90));
    for (const { events, position } of seen) if (position !== null && events.length > 0) expect(events.at(-1)!.id).toBe(`e-${position}`);
  });

  it('acknowledges what is durable and committed, a few times a second, and nothing before (Invariant 1)', async () => {
    const { server, log, ledger, clock, pump } = world();
    log.auto = false;
    await pump();
    for (let i = 0; i < 10; i++) server.commit(1);
    await clock.advance(1_000);
    expect(server.acks).toEqual([]);
    log.land(1);
    await settleAll();
    expect(server.acks).toEqual([]);
    await clock.advance(250);
    expect(server.acks.length).toBe(1);
    expect(ledger.row(ID).positions.get('')).toBe(server.acks[0]);
    log.auto = true;
    log.land();
    for (let i = 0; i < 200; i++) {
      server.commit(1);
      await clock.advance(5);
    }
    await clock.advance(500);
    expect(server.acked).toBe(210);
    expect(server.acks.length).toBeLessThan(8);
  });

  it('acknowledges 2 s late where the log syncs once a second (trap 26)', async () => {
    const { server, log, clock, pump } = world();
    log.settleDelayMs = 2_000;
    await pump();
    server.commit(3);
    await clock.advance(1_900);
    expect(server.acks).toEqual([]);
    await clock.advance(600);
    expect(server.acks).toEqual(['3']);
  });

  it('keeps the source waiting while the store is down, and goes on reading', async () => {
    const { server, log, ledger, clock, counters, pump } = world();
    await pump();
    ledger.down = true;
    server.commit(2);
    await clock.advance(1_000);
    expect(log.ids).toEqual(ids(2));
    expect(server.acks).toEqual([]);
    counters.opened({ events: 2, bytes: 1 });
    expect(counters.report(0, null)!.errors).toBeGreaterThan(0);
    ledger.down = false;
    await clock.advance(300);
    expect(server.acks).toEqual(['2']);
  });

  it('pauses: what was pulled lands and is acknowledged, nothing follows, the reader stays; and goes on', async () => {
    const { server, log, clock, pump } = world();
    const { pump: made } = await pump();
    server.commit(2);
    await settleAll();
    expect(await made.pause(1_000)).toBe(true);
    expect(server.acked).toBe(2);
    server.commit(3);
    server.commit(3);
    await clock.advance(10_000);
    expect(log.ids).toEqual(ids(2));
    expect(server.readers).toBe(1);
    expect(made.oldestHeld()).not.toBeNull();
    made.resume();
    await clock.advance(500);
    expect(log.ids).toEqual(ids(8));
    expect(server.acked).toBe(8);
    expect(server.reads.length).toBe(1);
  });

  it('says that it could not pause when the log takes nothing', async () => {
    const { server, log, clock, pump } = world();
    log.full = true;
    const { pump: made } = await pump();
    server.commit(2);
    await settleAll();
    const paused = made.pause(1_000);
    await clock.advance(1_100);
    expect(await paused).toBe(false);
  });

  it('stops: what was pulled lands and is acknowledged before it is over (trap 38)', async () => {
    const { server, log, pump } = world();
    log.auto = false;
    const { pump: made, run, outcome } = await pump();
    server.commit(2);
    await settleAll();
    const stopped = made.stop(2_000);
    server.commit(2);
    await settleAll();
    log.land();
    await stopped;
    await run;
    expect(outcome.end).toBe('over');
    expect(log.ids).toEqual(ids(2));
    expect(server.acked).toBe(2);
    await settleAll();
    expect(server.readers).toBe(0);
  });

  it('ends within its time when the log takes nothing, and acknowledges nothing', async () => {
    const { server, log, clock, pump } = world();
    log.full = true;
    const { pump: made, run, outcome } = await pump();
    server.commit(2);
    await settleAll();
    const stopped = made.stop(2_000);
    await clock.advance(2_000);
    await stopped;
    await run;
    expect(outcome.end).toBe('over');
    expect(server.acks).toEqual([]);
  });

  it('lands everything and is over when the source ends by itself', async () => {
    const { server, log, pump } = world();
    server.ends = true;
    server.commit(5);
    const { run, outcome } = await pump();
    await run;
    expect(outcome.end).toBe('over');
    expect(log.ids).toEqual(ids(5));
    expect(server.acked).toBe(5);
  });

  it('writes a position alone, but not more often than it settles', async () => {
    const { server, log, clock } = world();
    const appends: number[] = [];
    const sink = log.sink(1);
    await sink.open();
    const append = sink.append.bind(sink);
    sink.append = (batch, signal) => {
      appends.push(clock.monotonic());
      return append(batch, signal);
    };
    const source = server.source();
    const beats: ChangeBatch[] = [];
    source.read = async function* (_from, signal) {
      for (let n = 1; !signal.aborted; n++) {
        beats.push({ partition: '', events: [], position: String(n) });
        yield beats.at(-1)!;
        await clock.sleep(10, signal);
      }
    };
    server.onAck = () => undefined;
    const { counters, ledger } = world();
    const made = new Pump({ source, sink, ledger, held: { streamId: ID, epoch: 1 }, clock, log: new SilentLog(), counters, mayWrite: () => true, onConnected: () => undefined, onSettled: () => undefined });
    const abort = new AbortController();
    const run = made.run(new Map(), abort.signal).catch(() => undefined);
    await clock.advance(2_000);
    expect(appends.length).toBeGreaterThan(3);
    expect(appends.length).toBeLessThan(18);
    expect(Number(log.positions.get(''))).toBeGreaterThan(150);
    abort.abort(new Error('end'));
    await run;
  });

  it('writes nothing once its lease has run out, and nothing once it is fenced (traps 27, 32)', async () => {
    const first = world();
    const frozen = await first.pump();
    first.server.commit(1);
    await settleAll();
    first.state.mayWrite = false;
    first.server.commit(1);
    await first.clock.advance(300);
    expect(frozen.outcome.end).toMatchObject({ code: 'fenced' });
    expect(first.log.ids).toEqual(ids(1));
    expect(first.server.acks).toEqual([]);

    const second = world();
    const zombie = await second.pump();
    second.server.commit(1);
    await settleAll();
    second.ledger.row(ID).epoch = 2;
    await second.clock.advance(300);
    expect(zombie.outcome.end).toMatchObject({ code: 'fenced' });
    expect(second.server.acks).toEqual([]);
  });

  it('fails with what the source, the log or the acknowledgement throws', async () => {
    const source = world();
    const one = await source.pump();
    source.server.fail(new StreamError('slot_lost', 'gone'));
    await settleAll();
    expect(one.outcome.end).toMatchObject({ code: 'slot_lost' });

    const sink = world();
    const two = await sink.pump();
    sink.log.failure = new StreamError('log_unavailable', 'down');
    sink.server.commit(1);
    await settleAll();
    expect(two.outcome.end).toMatchObject({ code: 'log_unavailable' });

    const ack = world();
    ack.server.onAck = () => {
      throw new StreamError('source_unreachable', 'cut');
    };
    const three = await ack.pump();
    ack.server.commit(1);
    await ack.clock.advance(300);
    expect(three.outcome.end).toMatchObject({ code: 'source_unreachable' });
  });

  it('counts latency from commit to durable, and totals from the log', async () => {
    const { server, log, counters, clock, pump } = world();
    log.auto = false;
    await pump();
    server.commit(3);
    await settleAll();
    await clock.advance(100);
    log.land();
    await settleAll();
    const report = counters.report(clock.now(), null)!;
    expect(report).toMatchObject({ total_events: 3, errors: 0, sequence: 1 });
    expect(report.latency.reduce((sum, [, count]) => sum + count, 0)).toBe(3);
    expect(counters.report(clock.now(), 5)).toMatchObject({ sequence: 2, oldest_pending_at: 5 });
  });

  type Action = ['commit', number] | ['land', number] | ['advance', number] | ['pause' | 'resume' | 'logFails' | 'sourceFails' | 'storeDown' | 'storeUp' | 'stop' | 'takeover' | 'full' | 'room', null];
  const action: fc.Arbitrary<Action> = fc.oneof(
    { weight: 6, arbitrary: fc.tuple(fc.constant('commit' as const), fc.integer({ min: 1, max: 7 })) },
    { weight: 6, arbitrary: fc.tuple(fc.constant('land' as const), fc.integer({ min: 1, max: 4 })) },
    { weight: 4, arbitrary: fc.tuple(fc.constant('advance' as const), fc.integer({ min: 1, max: 900 })) },
    { weight: 4, arbitrary: fc.tuple(fc.constantFrom('pause' as const, 'resume', 'logFails', 'sourceFails', 'storeDown', 'storeUp', 'stop', 'takeover', 'full', 'room'), fc.constant(null)) },
  );

  it('whatever happens in whatever order: each event once, in order, and none acknowledged before it was durable and committed', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(action, { minLength: 5, maxLength: 50 }), fc.integer({ min: 0, max: 3 }), async (actions, overlap) => {
        const { clock, log, server, ledger, pump } = world({ batchEvents: 6, inFlight: 3 });
        log.auto = false;
        let epoch = 1;
        let current = await pump(overlap, epoch);
        const zombies: (typeof current)[] = [];
        let frozenAt: number | null = null;
        const begin = async () => {
          frozenAt = null;
          current = await pump(overlap, epoch);
        };
        for (const [what, value] of actions) {
          if (what === 'commit') server.commit(value);
          if (what === 'land') log.land(value);
          if (what === 'advance') await clock.advance(value);
          if (what === 'storeDown') ledger.down = true;
          if (what === 'storeUp') ledger.down = false;
          if (what === 'full') log.full = true;
          if (what === 'room') log.full = false;
          if (what === 'logFails') log.fail(new StreamError('log_unavailable', 'cut'));
          if (what === 'sourceFails') server.fail(new StreamError('source_unreachable', 'cut'));
          if (what === 'resume') {
            frozenAt = null;
            current.pump.resume();
          }
          if (what === 'pause') {
            const done = current.pump.pause(500);
            const wait = clock.advance(600);
            log.land();
            if (await done) frozenAt = log.ids.length;
            else if (current.outcome.end === null) current.abort.abort(new Error('could not pause'));
            await wait;
          }
          if (what === 'stop') {
            const done = current.pump.stop(300);
            log.land(2);
            await clock.advance(400);
            await done;
            await current.run;
            await current.sink.close();
            const at = log.ids.length;
            log.land();
            await settleAll();
            expect(log.ids.length).toBe(at);
          }
          if (what === 'takeover') {
            // The old one is frozen with all that it has under way, and wakes up beside its successor.
            zombies.push(current);
            ledger.row(ID).epoch = ++epoch;
            await begin();
            log.land();
          }
          await settleAll();
          if (frozenAt !== null && current.outcome.end === null) expect(log.ids.length).toBe(frozenAt);
          if (current.outcome.end !== null) {
            await current.sink.close();
            await begin();
          }
          expect(log.mostInFlight).toBeLessThanOrEqual(3 * (zombies.length + 1));
          expect(log.ids).toEqual(ids(log.ids.length));
        }
        ledger.down = false;
        log.full = false;
        log.auto = true;
        current.pump.resume();
        log.land();
        await clock.advance(600);
        if (current.outcome.end !== null) await begin();
        log.land();
        await clock.advance(600);
        expect(log.ids).toEqual(ids(server.last));
        expect(server.acked).toBe(server.last);
        current.abort.abort(new Error('end'));
        for (const zombie of zombies) zombie.abort.abort(new Error('end'));
        await settleAll();
      }),
      { numRuns: 150 },
    );
  }, 60_000);
});
