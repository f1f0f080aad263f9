import { CONNECTED, StreamError, type ChangeBatch } from '@planasonix/core';
import { ID, ids, pumpWorld, settleAll, SilentLog } from './fakes/index.js';
import { Pump } from './pump.js';

describe('the pump', () => {
  it('says that it is connected before there is anything to read', async () => {
    const { state, pump } = pumpWorld();
    const running = await pump();
    expect(state.connected).toBe(1);
    running.abort.abort(new Error('end'));
    await running.run;
  });

  it('hands over at once what comes alone', async () => {
    const { server, log, pump } = pumpWorld();
    await pump();
    server.commit(1);
    await settleAll();
    expect(log.ids).toEqual(['e-1']);
  });

  it('merges what comes while the log is busy, within its limits (Invariant 6)', async () => {
    const { server, log, pump } = pumpWorld({ batchEvents: 100, inFlight: 4 });
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
    const { server, log, pump } = pumpWorld();
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
    const { server, log, pump } = pumpWorld({ batchEvents: 10, inFlight: 2 });
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
    const { server, log, pump } = pumpWorld();
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
    for (const { events, position } of seen)
      if (position !== null && events.length > 0) expect(events.at(-1)!.id).toBe(`e-${position}`);
  });

  it('acknowledges what is durable and committed, a few times a second, and nothing before (Invariant 1)', async () => {
    const { server, log, ledger, clock, pump } = pumpWorld();
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

  it('acknowledges no position that the log did not store: events that it held already came with none (Invariant 1)', async () => {
    const { server, log, clock, pump } = pumpWorld();
    // Whoever wrote before was killed between the last row of a transaction and its commit.
    const before = log.sink(1);
    await before.open();
    await before.append(server.batch({ first: 1, last: 3 }, false), new AbortController().signal);
    await pump();
    server.commit(3);
    await clock.advance(1_000);
    expect({ acks: server.acks, positions: [...log.positions] }).toEqual({ acks: [], positions: [] });
    server.commit(1);
    await clock.advance(1_000);
    expect({ acks: server.acks, positions: [...log.positions] }).toEqual({ acks: ['4'], positions: [['', '4']] });
    expect(log.ids).toEqual(ids(4));
  });

  it('acknowledges 2 s late where the log syncs once a second (trap 26)', async () => {
    const { server, log, clock, pump } = pumpWorld();
    log.settleDelayMs = 2_000;
    await pump();
    server.commit(3);
    await clock.advance(1_900);
    expect(server.acks).toEqual([]);
    await clock.advance(600);
    expect(server.acks).toEqual(['3']);
  });

  it('keeps the source waiting while the store is down, and goes on reading', async () => {
    const { server, log, ledger, clock, counters, pump } = pumpWorld();
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
    const { server, log, clock, pump } = pumpWorld();
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
    const { server, log, clock, pump } = pumpWorld();
    log.full = true;
    const { pump: made } = await pump();
    server.commit(2);
    await settleAll();
    const paused = made.pause(1_000);
    await clock.advance(1_100);
    expect(await paused).toBe(false);
  });

  it('stops: what was pulled lands and is acknowledged before it is over (trap 38)', async () => {
    const { server, log, pump } = pumpWorld();
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
    const { server, log, clock, pump } = pumpWorld();
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
    const { server, log, pump } = pumpWorld();
    server.ends = true;
    server.commit(5);
    const { run, outcome } = await pump();
    await run;
    expect(outcome.end).toBe('over');
    expect(log.ids).toEqual(ids(5));
    expect(server.acked).toBe(5);
  });

  it('writes a position alone, but not more often than it settles', async () => {
    const { server, log, clock } = pumpWorld();
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
      yield CONNECTED;
      for (let n = 1; !signal.aborted; n++) {
        beats.push({ partition: '', events: [], position: String(n) });
        yield beats.at(-1)!;
        await clock.sleep(10, signal);
      }
    };
    server.onAck = () => undefined;
    const { counters, ledger } = pumpWorld();
    const made = new Pump({
      source,
      sink,
      ledger,
      orders: new Map(),
      held: { streamId: ID, epoch: 1 },
      clock,
      log: new SilentLog(),
      counters,
      mayWrite: () => true,
      onConnected: () => undefined,
      onSettled: () => undefined,
    });
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
    const first = pumpWorld();
    const frozen = await first.pump();
    first.server.commit(1);
    await settleAll();
    first.state.mayWrite = false;
    first.server.commit(1);
    await first.clock.advance(300);
    expect(frozen.outcome.end).toMatchObject({ code: 'fenced' });
    expect(first.log.ids).toEqual(ids(1));
    expect(first.server.acks).toEqual([]);

    const second = pumpWorld();
    const zombie = await second.pump();
    second.server.commit(1);
    await settleAll();
    second.ledger.row(ID).epoch = 2;
    await second.clock.advance(300);
    expect(zombie.outcome.end).toMatchObject({ code: 'fenced' });
    expect(second.server.acks).toEqual([]);
  });

  it('acknowledges nothing where its lease ran out while the store was asked (Invariant 3, trap 32)', async () => {
    const { server, state, ledger, clock, pump } = pumpWorld();
    await pump();
    ledger.commitsHeld.push(() => Promise.resolve((state.mayWrite = false)));
    server.commit(1);
    await clock.advance(600);
    expect(ledger.row(ID).positions.size).toBe(1);
    expect(server.acks).toEqual([]);
  });

  it('fails with what the source, the log or the acknowledgement throws', async () => {
    const source = pumpWorld();
    const one = await source.pump();
    source.server.fail(new StreamError('slot_lost', 'gone'));
    await settleAll();
    expect(one.outcome.end).toMatchObject({ code: 'slot_lost' });

    const sink = pumpWorld();
    const two = await sink.pump();
    sink.log.failure = new StreamError('log_unavailable', 'down');
    sink.server.commit(1);
    await settleAll();
    expect(two.outcome.end).toMatchObject({ code: 'log_unavailable' });

    const ack = pumpWorld();
    ack.server.onAck = () => {
      throw new StreamError('source_unreachable', 'cut');
    };
    const three = await ack.pump();
    ack.server.commit(1);
    await ack.clock.advance(300);
    expect(three.outcome.end).toMatchObject({ code: 'source_unreachable' });
  });

  it('counts latency from commit to durable, and totals from the log', async () => {
    const { server, log, counters, clock, pump } = pumpWorld();
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
});
