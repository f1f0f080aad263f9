import { LEASE_MS } from '@planasonix/core';
import { InletLedger, PgSpreadLedger, StreamDeletion, WorkerStore, type Actor } from './index.js';
import { StoreUnderTest } from './store-under-test.js';

/** Seen from the rows, a clock that is set back by so many seconds is times that are later by as much. */
const HOUR = 3600;
/** A lease just set then ends within twice its life. */
const LITTLE = LEASE_MS / 1000 - 3;

describe("what is held once the store's clock was set back (trap 32)", () => {
  let under: StoreUnderTest;
  let actor: Actor;
  let { store, streams, commands, ledger } = {} as StoreUnderTest;

  beforeAll(async () => {
    under = await StoreUnderTest.start();
    ({ store, streams, commands, ledger } = under);
    actor = await under.actor();
  });
  afterAll(() => under?.stop());

  const setBack = (id: string, seconds: number, column = 'lease_expires_at') =>
    store.query(`UPDATE streams SET ${column} = ${column} + make_interval(secs => $2) WHERE id = $1`, [id, seconds]);

  /** One that runs, held by `w`. */
  async function running(sourceType = 'postgres_cdc') {
    const { id } = await under.makeStream(actor, { sourceType });
    await commands.accept(actor, id, 'start');
    const held = { streamId: id, epoch: (await ledger.claim('w', id))!.epoch };
    await ledger.report(held, { status: 'running', shares: 2 }, 1);
    return { id, held };
  }
  const isDue = async (id: string) => (await ledger.orphans('postgres_cdc', 1_000)).includes(id);
  const isLeased = async (id: string) => (await commands.view(id))!.leased;

  it('gives the stream to another worker, and bars the one that had it (Invariant 3)', async () => {
    const { id, held } = await running();
    await setBack(id, HOUR);
    expect([await isDue(id), await isLeased(id)]).toEqual([true, false]);
    expect(await ledger.claim('w2', id)).toMatchObject({ epoch: held.epoch + 1 });
    expect((await ledger.renew('w', [held])).has(id)).toBe(false);
    expect(await ledger.report(held, { status: 'running' })).toBe('fenced');
    expect(await ledger.commitPositions(held, new Map([['', 'late']]))).toBe(false);
    expect([await isDue(id), await isLeased(id), await ledger.claim('w', id)]).toEqual([false, true, null]);
  });

  it('leaves a lease alone that ends within twice its life', async () => {
    const { id, held } = await running();
    await setBack(id, LITTLE);
    expect([await isDue(id), await isLeased(id), await ledger.claim('w2', id)]).toEqual([false, true, null]);
    expect((await ledger.renew('w', [held])).has(id)).toBe(true);
  });

  it('is held again once its living owner has renewed it', async () => {
    const { id, held } = await running();
    await setBack(id, HOUR);
    expect((await ledger.renew('w', [held])).get(id)).toMatchObject({ generation: 1 });
    expect([await isDue(id), await isLeased(id), await ledger.claim('w2', id)]).toEqual([false, true, null]);
    const { lease_expires_at: until } = (await streams.get(actor.workspaceId, id))!;
    expect(until!.getTime()).toBeLessThanOrEqual(Date.now() + LEASE_MS);
  });

  it('knows a stream at rest that somebody gives up from one whose keeper is gone', async () => {
    const { id, held } = await running();
    await ledger.remember(held, { slot: 'x' });
    await commands.accept(actor, id, 'stop');
    await ledger.report(held, { status: 'stopped', releaseLease: true }, 2);
    const why = { code: 'wal_budget_exceeded', message: '', hint: '', occurred_at: '' };
    const condemned = (await ledger.condemn('w', { id, generation: 2, epoch: held.epoch }, why))!;
    const rests = async () => (await ledger.resting('postgres_cdc')).includes(id);
    expect(await rests()).toBe(false);
    await setBack(id, HOUR);
    expect(await rests()).toBe(true);
    expect(await ledger.condemn('w2', { id, generation: 2, epoch: condemned.epoch }, why)).not.toBeNull();
  });

  it('lets another instance open a log; whoever still opens it has it again when he says so', async () => {
    const inlets = new InletLedger(store, under.box);
    const { id } = await under.makeStream(actor, { sourceType: 'hook', ingestToken: 'token' });
    await commands.accept(actor, id, 'start');
    const isDueOpening = async () => (await inlets.streams('hook', [id]))[0]!.isDue;
    const one = (await inlets.beginOpening('one', id, null))!;
    await setBack(id, HOUR);
    expect(await isDueOpening()).toBe(true);
    await inlets.keepOpening(one.held, one.generation);
    expect(await isDueOpening()).toBe(false);
    await setBack(id, HOUR);
    const two = (await inlets.beginOpening('two', id, null))!;
    expect(await inlets.opened(one.held, one.generation, 'mark')).toBe(false);
    expect(await inlets.opened(two.held, two.generation, 'mark')).toBe(true);
    await setBack(id, HOUR);
    expect(await inlets.beginOpening('one', id, two.held.epoch)).not.toBeNull();
  });

  it('counts no helper that may be dead; a living one has its seat again when it keeps its row', async () => {
    const spread = new PgSpreadLedger(store);
    const { id, held } = await running('kafka');
    const far = () =>
      store.query(`UPDATE stream_helpers SET expires_at = expires_at + interval '1 hour' WHERE stream_id = $1`, [id]);
    const helpers = async () => ((await spread.helpers('w')).get(id) ?? []).map(({ workerId }) => workerId);
    const seated = { ...held, seat: { index: 1, session: 's' } };
    const commits = () => ledger.commitPositions(seated, new Map([['t/1', 'here']]));
    await spread.join('helper', id);
    await spread.seat(held, 's', ['helper']);
    await far();
    expect([await helpers(), await commits(), await spread.openings('w2', 'kafka', 10)]).toEqual([[], false, [id]]);
    await spread.keep('helper', new Map([[id, null]]));
    expect([await helpers(), await commits(), await spread.openings('w2', 'kafka', 10)]).toEqual([
      ['helper'],
      true,
      [],
    ]);
    await far();
    await spread.seat(held, 's-2', []);
    expect((await spread.keep('helper', new Map([[id, null]]))).size).toBe(0);
  });

  it('is not barred by a deletion whose gateway may be gone', async () => {
    const { id } = await running();
    const deletion = new StreamDeletion(store);
    await deletion.begin(actor, id);
    await setBack(id, HOUR);
    expect(await isDue(id)).toBe(false);
    expect(await deletion.begin(actor, id)).toEqual({ kind: 'deleting' });
    await setBack(id, HOUR, 'deleting_at');
    expect(await isDue(id)).toBe(true);
    expect(await deletion.begin(actor, id)).toMatchObject({ kind: 'begun' });
  });

  it('counts no worker that was last seen in times to come', async () => {
    const workers = new WorkerStore(store);
    const of = { id: 'w', sourceType: 'seen', connectionTypes: [], configSchema: {}, host: 'h', pid: 1 };
    await workers.announce(of);
    await store.query(`UPDATE workers SET last_seen_at = last_seen_at + interval '1 hour'`);
    expect([await workers.live('seen'), await workers.liveIds('seen')]).toEqual([0, []]);
    await workers.heartbeat(of);
    expect([await workers.live('seen'), await workers.liveIds('seen')]).toEqual([1, ['w']]);
  });
});
