import { systemClock, type Held, type HelperReport } from '@planasonix/core';
import { PgSpreadLedger, type Actor } from './index.js';
import { StoreUnderTest } from './store-under-test.js';

describe('who helps with a stream', () => {
  let under: StoreUnderTest;
  let actor: Actor;
  let { store, commands, ledger } = {} as StoreUnderTest;
  let spread: PgSpreadLedger;
  let id: string;
  let lead: Held;
  let n = 0;

  beforeAll(async () => {
    under = await StoreUnderTest.start();
    ({ store, commands, ledger } = under);
    actor = await under.actor();
    spread = new PgSpreadLedger(store);
  });
  afterAll(() => under?.stop());
  /** One that runs, led by `lead`, and could be read by three. */
  beforeEach(async () => {
    ({ id } = await under.makeStream(actor, { sourceType: `kafka${++n}` }));
    await commands.accept(actor, id, 'start');
    lead = { streamId: id, epoch: (await ledger.claim('lead', id))!.epoch };
    await ledger.report(lead, { status: 'running', shares: 3 }, 1);
  });

  const open = (worker: string) => spread.openings(worker, `kafka${n}`, 10);
  const seen = async (worker: string) => (await spread.keep(worker, new Map([[id, null]]))).get(id);
  const helpers = async () => (await spread.helpers('lead')).get(id) ?? [];
  const expire = (worker: string) =>
    store.query(`UPDATE stream_helpers SET expires_at = clock_timestamp() WHERE stream_id = $1 AND worker_id = $2`, [id, worker]); // prettier-ignore
  const seated = (index: number, session: string): Held => ({ ...lead, seat: { index, session } });
  const commit = (held: Held) => ledger.commitPositions(held, new Map([['t/1', 'here']]));

  it('is whoever comes while there are shares left, but not the lead', async () => {
    expect(await open('lead')).toEqual([]);
    expect(await open('a')).toEqual([id]);
    expect(await spread.join('lead', id)).toBe(false);
    expect([await spread.join('a', id), await spread.join('a', id)]).toEqual([true, false]);
    expect([await open('a'), await open('b')]).toEqual([[], [id]]);
    expect(await spread.join('b', id)).toBe(true);
    expect([await open('c'), await spread.join('c', id)]).toEqual([[], false]);
    expect((await helpers()).map(({ workerId, seat }) => [workerId, seat])).toEqual([['a', null], ['b', null]]); // prettier-ignore
    await spread.leave('a', id);
    expect(await open('c')).toEqual([id]);
    await expire('b');
    expect(await helpers()).toEqual([]);
    // Whose row has run out is not kept: it has to come anew, without its seat.
    expect(await seen('b')).toBeUndefined();
    expect(await spread.join('b', id)).toBe(true);
  });

  it('hears of its share, and tells its lead what it has done', async () => {
    for (const worker of ['a', 'b']) await spread.join(worker, id);
    expect(await seen('a')).toEqual({ epoch: lead.epoch, seated: null });
    expect(await spread.seat(lead, 's-1', ['b', 'a'])).toBe(true);
    const share = { index: 2, of: 3 };
    expect(await seen('a')).toEqual({ epoch: lead.epoch, seated: { share, session: 's-1' } });
    const report: HelperReport = { session: 's-1', counters: null, blocked: { reason: 'log_full' } };
    await spread.keep('a', new Map([[id, report]]));
    await seen('a');
    expect(await helpers()).toEqual([
      { workerId: 'a', seat: { index: 2, session: 's-1' }, report },
      { workerId: 'b', seat: { index: 1, session: 's-1' }, report: null },
    ]);
    expect(await spread.seat({ ...lead, epoch: lead.epoch - 1 }, 's-0', ['a'])).toBe(false);
  });

  it('is not told of anew by a report that is older, or of an earlier seat, whichever lands last', async () => {
    await spread.join('a', id);
    await spread.seat(lead, 's-1', ['a']);
    const report = (session: string, sequence: number): HelperReport => {
      const counted = { total_events: sequence, total_bytes: 0, errors: 0, rejected_events: 0, dropped_events: 0, latency: [] }; // prettier-ignore
      const lag = { oldest_pending_at: null, lag_proved_at: null, last_event_at: null, backlog_bytes: null };
      const of = { stream_id: id, source_type: 'kafka', epoch: lead.epoch, sequence, at: 0 };
      return { session, counters: { ...of, ...counted, ...lag }, blocked: null };
    };
    const [older, newer] = [report('s-1', 9), report('s-1', 10)];
    const told = async (...reports: HelperReport[]) => {
      for (const one of reports) await spread.keep('a', new Map([[id, one]]));
      return (await helpers())[0]!.report;
    };
    expect(await told(newer, older)).toEqual(newer);
    await spread.seat(lead, 's-2', ['a']);
    expect(await told(newer)).toBeNull();
    const next = report('s-2', 1);
    expect(await told(next, newer)).toEqual(next);
  });

  it('writes positions and records for as long as seat and lead hold, and not a moment longer (Invariant 3)', async () => {
    await spread.join('a', id);
    await spread.seat(lead, 's-1', ['a']);
    const a = seated(1, 's-1');
    const aside = { id: 'r', place: 't/1 at 0', reason: 'odd', timeMs: systemClock.now() };
    expect([await commit(a), await ledger.setAside(a, [aside]), await ledger.remember(a, { group: 'g' })]).toEqual([true, 1, true]); // prettier-ignore
    expect([await commit(seated(2, 's-1')), await commit(seated(1, 's-0'))]).toEqual([false, false]);
    await spread.seat(lead, 's-2', ['a']);
    expect([await commit(a), await ledger.setAside(a, [aside]), await ledger.remember(a, {})]).toEqual([false, null, false]); // prettier-ignore
    expect([await commit(seated(1, 's-2')), await commit(lead)]).toEqual([true, true]);
    await spread.leave('a', id);
    expect(await commit(seated(1, 's-2'))).toBe(false);
  });

  it('writes nothing once its row has run out (trap 27)', async () => {
    await spread.join('a', id);
    await spread.seat(lead, 's-1', ['a']);
    expect(await commit(seated(1, 's-1'))).toBe(true);
    await expire('a');
    expect(await commit(seated(1, 's-1'))).toBe(false);
  });

  it('has no seat once nobody is given one', async () => {
    await spread.join('a', id);
    await spread.seat(lead, 's-1', ['a']);
    await spread.seat(lead, 's-2', []);
    expect([await seen('a'), await commit(seated(1, 's-1'))]).toEqual([{ epoch: lead.epoch, seated: null }, false]);
  });

  it('has no seat under another lead, and nothing to do where the stream does not run', async () => {
    await spread.join('a', id);
    await spread.seat(lead, 's-1', ['a']);
    await store.query(`UPDATE streams SET lease_expires_at = clock_timestamp() WHERE id = $1`, [id]);
    const next = (await ledger.claim('lead2', id))!;
    expect(await commit(seated(1, 's-1'))).toBe(false);
    expect(await seen('a')).toEqual({ epoch: next.epoch, seated: null });
    expect((await spread.helpers('lead2')).get(id)).toEqual([{ workerId: 'a', seat: null, report: null }]);
    await commands.accept(actor, id, 'pause');
    expect([await seen('a'), await open('b')]).toEqual([undefined, []]);
  });

  it('may be writing still when its lead has gone: a command has to bar it (Invariant 7)', async () => {
    const owned = async () => (await commands.view(id))!.owned;
    await spread.join('a', id);
    await spread.seat(lead, 's-1', ['a']);
    await ledger.report(lead, { releaseLease: true });
    expect(await owned()).toBe(true);
    const { generation, epoch } = (await commands.view(id))!;
    await commands.fence(id, { generation, epoch, status: 'stopped' });
    expect(await owned()).toBe(false);
    expect(await commit(seated(1, 's-1'))).toBe(false);
  });
});
