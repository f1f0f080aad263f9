import { ID, ids, pumpWorld, settleAll } from './fakes/index.js';

describe('the pump is connected', () => {
  it('says so only once the log holds where reading began, and pulls nothing before (Invariants 2, 7)', async () => {
    const { server, log, state, pump } = pumpWorld();
    log.auto = false;
    server.begins = ['#notes', ''];
    server.commit(1);
    const { pump: made } = await pump();
    expect([state.connected, made.connected]).toEqual([0, false]);
    log.land(1);
    await settleAll();
    expect(state.connected).toBe(0);
    log.land(1);
    await settleAll();
    expect([...log.positions.keys()]).toEqual(['#notes', '']);
    expect([state.connected, made.connected, log.ids]).toEqual([1, true, []]);
    log.land();
    await settleAll();
    expect(log.ids).toEqual(ids(1));
  });

  it('says so only once that is committed, where the log may lose it yet with its host (Invariants 2, 7; trap 26)', async () => {
    const { server, log, state, clock, ledger, pump } = pumpWorld();
    log.settleDelayMs = 2_000;
    server.begins = [''];
    await pump();
    await clock.advance(1_500);
    expect([state.connected, ledger.row(ID).positions.size]).toEqual([0, 0]);
    await clock.advance(1_000);
    expect([state.connected, ledger.row(ID).positions.size]).toEqual([1, 1]);
    // Who goes on where others were waits for nothing.
    const again = pumpWorld();
    again.log.settleDelayMs = 2_000;
    again.log.positions.set('', '0');
    again.server.begins = [''];
    await again.pump();
    expect(again.state.connected).toBe(1);
  });

  it('pauses, resumes and stops while where reading began is on its way to the log', async () => {
    const { server, log, state, clock, pump } = pumpWorld();
    log.auto = false;
    server.begins = [''];
    server.commit(1);
    const { pump: made, run } = await pump();
    const pausing = made.pause(1_000);
    log.land();
    await settleAll();
    expect([await pausing, state.connected, log.ids]).toEqual([true, 1, []]);
    made.resume();
    await settleAll();
    log.land();
    await settleAll();
    const stopping = made.stop(1_000);
    await clock.advance(300);
    await Promise.all([stopping, run]);
    expect(log.ids).toEqual(ids(1));
  });
});
