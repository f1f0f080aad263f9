import { StreamError } from '@planasonix/core';
import { ID, pumpWorld } from './fakes/index.js';

describe('the pump, where the log', () => {
  it('may have died with its host since it answered, acknowledges nothing, however long that is ago (trap 26)', async () => {
    const { server, log, clock, pump, ledger } = pumpWorld();
    log.settleDelayMs = 2_000;
    const { outcome } = await pump();
    server.commit(3);
    await clock.advance(300);
    // Its power fails: no answer any more, and no word of it.
    log.frozen = true;
    await clock.advance(10_000);
    expect([server.acked, ledger.row(ID).positions.size, outcome.end]).toEqual([0, 0, null]);
    log.thaw();
    await clock.advance(2_000);
    expect([server.acked, ledger.row(ID).positions.get('')]).toEqual([3, '3']);
  });

  it('is another one since, is found out also while nothing is written, and not while it is paused (trap 26)', async () => {
    const { server, log, clock, pump } = pumpWorld();
    const { pump: made, outcome } = await pump();
    server.commit(1);
    await clock.advance(1_000);
    log.failure = new StreamError('log_unavailable', 'it has begun anew');
    expect(outcome.end).toBeNull();
    const pausing = made.pause(1_000);
    await clock.advance(20_000);
    expect([await pausing, outcome.end]).toEqual([true, null]);
    made.resume();
    await clock.advance(5_500);
    expect(outcome.end).toMatchObject({ code: 'log_unavailable' });
  });

  it('holds a transaction open that others wait behind, keeps no reader paused', async () => {
    for (const holdsParts of [true, false]) {
      const { server, log, clock, pump } = pumpWorld();
      Object.assign(log, { holdsParts, lastWasPart: true });
      const { pump: made } = await pump();
      const pausing = made.pause(2_000);
      await clock.advance(100);
      expect(await pausing).toBe(!holdsParts);
      expect(server.acked).toBe(0);
    }
  });
});
