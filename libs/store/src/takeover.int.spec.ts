import { InletLedger, NeighbourStore, StreamDeletion, type Actor } from './index.js';
import { StoreUnderTest } from './store-under-test.js';

describe('what a worker is told of streams, and which it may take up', () => {
  let under: StoreUnderTest;
  let actor: Actor;
  let { streams, commands, ledger, connections } = {} as StoreUnderTest;

  beforeAll(async () => {
    under = await StoreUnderTest.start();
    ({ streams, commands, ledger, connections } = under);
    actor = await under.actor();
  });
  afterAll(() => under?.stop());

  const makeStream = async () => under.makeStream(actor, { connectionId: (await under.makeConnection(actor)).id });

  /** One that runs, held by `w`. */
  async function running() {
    const { id } = await makeStream();
    await commands.accept(actor, id, 'start');
    const held = { streamId: id, epoch: (await ledger.claim('w', id))!.epoch };
    await ledger.report(held, { status: 'running' }, 1);
    return { id, held };
  }
  const orphaned = async (id: string) => (await ledger.orphans('postgres_cdc', 1_000)).includes(id);
  const later = (id: string, what: string, seconds: number) =>
    under.store.query(`UPDATE streams SET ${what} = ${what} - make_interval(secs => $2) WHERE id = $1`, [id, seconds]);

  it('tells the holder of a lease that the config or the connection of its stream was changed', async () => {
    const { id, connection_id } = await makeStream();
    await commands.accept(actor, id, 'start');
    const held = { streamId: id, epoch: (await ledger.claim('w', id))!.epoch };
    const revision = async () => {
      const view = (await ledger.renew('w', [held])).get(id);
      return view === 'busy' ? view : view?.configRevision;
    };
    expect(await revision()).toBe(0);
    await ledger.report(held, { status: 'paused' }, 1);
    await streams.patch(actor, id, { name: `renamed ${id}` });
    expect(await revision()).toBe(0);
    await streams.patch(actor, id, { config: { exclude_columns: ['t.secret'] } });
    expect(await revision()).toBe(1);
    const elsewhere = { name: id, type: 'postgres', config: { host: 'elsewhere' }, secrets: null };
    const read = (await connections.get(actor.workspaceId, connection_id!))!;
    await connections.update(actor, read, elsewhere, false);
    expect(await revision()).toBe(2);
    // Whoever read it before that and took secrets from it is told, and changes nothing (trap 35).
    expect(await connections.update(actor, read, { ...elsewhere, config: { host: 'late' } }, false)).toBe('changed');
    expect(await revision()).toBe(2);
    expect(await ledger.spec(id)).toMatchObject({
      configRevision: 2,
      config: { exclude_columns: ['t.secret'] },
      connection: { config: { host: 'elsewhere' } },
    });
  });

  it('leaves an opening to whoever says that he is still at it, as long as he does and nothing else is wanted', async () => {
    const inlets = new InletLedger(under.store, under.box);
    const { id } = await under.makeStream(actor, { sourceType: 'hook', ingestToken: 'token' });
    await commands.accept(actor, id, 'start');
    const lease = async () => (await streams.get(actor.workspaceId, id))!.lease_expires_at!.getTime();
    const keeps = async ({ held, generation }: NonNullable<Awaited<ReturnType<typeof inlets.beginOpening>>>) => {
      const before = await lease();
      await inlets.keepOpening(held, generation);
      return (await lease()) !== before;
    };
    const begins = async (instance: string, again: number | null = null) => {
      const begun = await inlets.beginOpening(instance, id, again);
      // However slow this test is; within what is taken for a lease.
      if (begun !== null) await later(id, 'lease_expires_at', -10);
      return begun;
    };
    const one = (await begins('one'))!;
    expect(await begins('two')).toBeNull();
    expect(await keeps(one)).toBe(true);
    await later(id, 'lease_expires_at', 100);
    expect(await keeps(one)).toBe(false);
    const two = (await begins('two'))!;
    expect([await keeps(one), await keeps(two)]).toEqual([false, true]);
    expect(await inlets.opened(two.held, two.generation, 'mark')).toBe(true);
    expect(await keeps(two)).toBe(false);
    const again = (await begins('one', two.held.epoch))!;
    await commands.accept(actor, id, 'stop');
    expect(await keeps(again)).toBe(false);
  });

  it('gives a stop that nobody has carried out to another worker, once the lease has run out (Invariant 7)', async () => {
    const { id, held } = await running();
    await commands.accept(actor, id, 'stop');
    expect(await orphaned(id)).toBe(false);
    await later(id, 'lease_expires_at', 10);
    expect(await orphaned(id)).toBe(true);
    const spec = (await ledger.claim('w2', id))!;
    expect(spec).toMatchObject({ desired: 'stopped', status: 'running', epoch: held.epoch + 1 });
    await ledger.report(
      { streamId: id, epoch: spec.epoch },
      { status: 'stopped', releaseLease: true },
      spec.generation,
    );
    expect(await commands.view(id)).toMatchObject({ status: 'stopped', observedGeneration: spec.generation });
    expect([await orphaned(id), await ledger.claim('w2', id)]).toEqual([false, null]);
  });

  it('leaves a stream that is being deleted alone for a minute, and not for ever', async () => {
    const { id, held } = await running();
    await ledger.remember(held, { slot: 'x' });
    await new StreamDeletion(under.store).begin(actor, id);
    await later(id, 'lease_expires_at', 10);
    expect([await orphaned(id), await ledger.claim('w2', id)]).toEqual([false, null]);
    await later(id, 'deleting_at', 61);
    expect(await orphaned(id)).toBe(true);
    const spec = (await ledger.claim('w2', id))!;
    await ledger.report(
      { streamId: id, epoch: spec.epoch },
      { status: 'stopped', releaseLease: true },
      spec.generation,
    );
    expect(await ledger.resting('postgres_cdc')).toContain(id);
  });

  it('knows of other streams at the same server, by connection or by host and port, whosever they are', async () => {
    const at = async (config: object, of = actor) => {
      const { id } = await under.makeConnection(of, { config: { ...config } });
      const stream = await under.makeStream(of, { connectionId: id, config: { slot_name: JSON.stringify(config) } });
      return { id: stream.id, connection: id };
    };
    const db = { host: 'db.example', port: 5433, database: 'shop' };
    const one = await at(db);
    const beside = await under.makeStream(actor, { connectionId: one.connection, config: { slot_name: 'beside' } });
    const other = await under.actor('other');
    const same: Partial<typeof db>[] = [{ ...db, host: 'DB.example', database: 'other' }, { host: 'db.example' }];
    for (const config of same) await at(config, other);
    for (const config of [
      { ...db, port: 5434 },
      { ...db, host: 'elsewhere' },
    ])
      await at(config);
    await under.store.query("UPDATE streams SET status = 'stopped'");
    // One that nobody has started holds nothing, and nobody's slot by naming it.
    await at(db, other);
    const rows = new NeighbourStore(under.store);
    const spec = (await ledger.spec(one.id))!;
    const found = await rows.sharers('postgres_cdc', spec);
    expect(found.map(({ config, database }) => [config['slot_name'], database]).sort()).toEqual(
      [['beside', 'shop'], ...same.map((config) => [JSON.stringify(config), config.database ?? null])].sort(),
    );
    expect(await rows.sharers('mysql_cdc', spec)).toEqual([]);
    expect(await rows.sharers('postgres_cdc', { id: beside.id, connection: null })).toEqual([]);
  });
});
