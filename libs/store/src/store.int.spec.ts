import type { DataSource } from 'typeorm';
import {
  IdempotencyStore,
  InletLedger,
  InUse,
  NameTaken,
  openStore,
  OutboxStore,
  PgStreamLedger,
  SecretBox,
  splitSecrets,
  WorkspaceStore,
  type Actor,
} from './index.js';
import { KEY, quiet, StoreUnderTest } from './store-under-test.js';

const schema = {
  type: 'object',
  properties: { password: { type: 'string', writeOnly: true }, host: { type: 'string' } },
};

describe('the store', () => {
  let under: StoreUnderTest;
  let actor: Actor;
  let { server, store, box, commands, ledger, pipelines, connections } = {} as StoreUnderTest;

  beforeAll(async () => {
    // Two apps that boot at once on an empty database.
    let second: Promise<DataSource>;
    under = await StoreUnderTest.start(async (url) => void (second = openStore(url, { log: quiet })));
    await (await second!).destroy();
    ({ server, store, box, commands, ledger, pipelines, connections } = under);
    actor = await under.actor();
  });
  afterAll(() => under?.stop());

  async function makeStream() {
    const { shown, secrets } = splitSecrets(schema, { host: 'h', password: 'canary' });
    const { id: connectionId } = await under.makeConnection(actor, { config: shown, secrets });
    return under.makeStream(actor, { connectionId });
  }

  it('seals secrets, bound to their row, and keys can be rotated (trap 35)', async () => {
    const { connection_id: id } = await makeStream();
    const row = (await connections.get(actor.workspaceId, id!))!;
    expect(JSON.stringify(row)).not.toContain('canary');
    expect(connections.settings(row).config).toEqual({ host: 'h', password: 'canary' });
    expect(() => connections.settings({ ...row, id: 'conn_other' })).toThrow();
    const next = new SecretBox(Buffer.alloc(32, 2).toString('base64'), [KEY]);
    expect(next.open(row.secrets!, `connections:${id}`)).toContain('canary');
    expect(() => new SecretBox(Buffer.alloc(32, 2).toString('base64')).open(row.secrets!, `connections:${id}`)).toThrow(
      expect.objectContaining({ code: 'secrets_sealed', hint: expect.stringContaining('ENCRYPTION_KEYS_OLD') }),
    );
  });

  it('says of a stream whose secrets can not be read why, and gives all that needs none (trap 35)', async () => {
    const { id } = await makeStream();
    await commands.accept(actor, id, 'start');
    const without = new PgStreamLedger(store, new SecretBox(Buffer.alloc(32, 2).toString('base64')));
    const spec = (await without.claim('w', id))!;
    expect(spec).toMatchObject({ sealed: expect.stringContaining('ENCRYPTION_KEY'), output: { type: 'redis_stream' } });
    expect(JSON.stringify(spec)).not.toContain('canary');
    expect((await ledger.spec(id))!.sealed).toBeUndefined();
  });

  it('serves the other streams where the secrets of one can not be read', async () => {
    const { shown, secrets } = splitSecrets(schema, { password: 'canary' });
    const hook = (ingestToken: string) => ({ sourceType: 'hook', ingestToken, config: shown, secrets });
    const [mine, theirs] = [await under.makeStream(actor, hook('one')), await under.makeStream(actor, hook('two'))];
    const other = new SecretBox(Buffer.alloc(32, 2).toString('base64')).seal(secrets!, `streams:${theirs.id}`);
    await store.query('UPDATE streams SET secrets = $2 WHERE id = $1', [theirs.id, other]);
    const served = await new InletLedger(store, box).streams('hook', [mine.id, theirs.id]);
    const of = (id: string) => served.find((one) => one.id === id);
    expect(of(mine.id)).toMatchObject({ config: { password: 'canary' }, sealed: null });
    expect(of(theirs.id)).toMatchObject({ sealed: expect.stringContaining('ENCRYPTION_KEY') });
    expect(JSON.stringify(of(theirs.id))).not.toContain('canary');
  });

  it('gives one lease among twenty who claim, and raises the epoch with it', async () => {
    const { id } = await makeStream();
    await commands.accept(actor, id, 'start');
    const got = (await Promise.all(Array.from({ length: 20 }, (_, i) => ledger.claim(`w${i}`, id)))).filter(Boolean);
    expect(got).toHaveLength(1);
    expect(got[0]).toMatchObject({ epoch: 1, desired: 'running', connection: { config: { password: 'canary' } } });
    expect((await ledger.renew('somebody', [{ streamId: id, epoch: 1 }])).size).toBe(0);
  });

  it('numbers reports on streams that nobody reads beyond those of owners and of clocks, ever upwards', async () => {
    const other = new PgStreamLedger(store, box);
    const numbers = [await ledger.probeNumber(), await other.probeNumber(), await ledger.probeNumber()];
    expect(numbers[0]).toBeGreaterThan(Date.now());
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    expect(new Set(numbers).size).toBe(3);
  });

  it('renews what it can where somebody has locked a row: that one is busy, the others do not wait for it', async () => {
    const ids = [(await makeStream()).id, (await makeStream()).id, (await makeStream()).id];
    for (const id of ids) await commands.accept(actor, id, 'start');
    const held = await Promise.all(
      ids.map(async (streamId) => ({ streamId, epoch: (await ledger.claim('w', streamId))!.epoch })),
    );
    const [locked, free, lost] = held as [(typeof held)[0], (typeof held)[0], (typeof held)[0]];
    const other = await server.connect();
    await other.query('BEGIN');
    await other.query(`SELECT 1 FROM streams WHERE id = '${locked.streamId}' FOR UPDATE`);
    const views = await ledger.renew('w', [locked, free, { ...lost, epoch: 0 }]);
    expect(views.get(locked.streamId)).toBe('busy');
    expect(views.get(free.streamId)).toMatchObject({ desired: 'running' });
    expect(views.has(lost.streamId)).toBe(false);
    const alone = ledger.renew('w', [locked]);
    await other.query('ROLLBACK');
    await other.end();
    expect((await alone).get(locked.streamId)).toMatchObject({ desired: 'running' });
  });

  it('lets an owner whose epoch has passed change nothing (trap 32, Invariant 3)', async () => {
    const { id } = await makeStream();
    const { stream } = (await commands.accept(actor, id, 'start')) as { stream: { generation: number } };
    const held = { streamId: id, epoch: (await ledger.claim('w', id))!.epoch };
    expect(await ledger.report(held, { status: 'running' }, stream.generation)).toBe('written');
    expect(await ledger.commitPositions(held, new Map([['', '1']]))).toBe(true);
    expect(await commands.fence(id, { generation: stream.generation, epoch: held.epoch, status: 'running' })).toBe(
      true,
    );
    expect(await ledger.report(held, { status: 'error' }, stream.generation)).toBe('fenced');
    expect(await ledger.commitPositions(held, new Map([['', '2']]))).toBe(false);
    expect(await ledger.remember(held, { slot: 'x' })).toBe(false);
    expect((await ledger.renew('w', [held])).size).toBe(0);
    expect(await ledger.positions(id)).toEqual(new Map([['', '1']]));
  });

  it('ends the progress of rows that were all read before their worker was killed, and names what it had told to be over (Invariant 7)', async () => {
    const { id } = await makeStream();
    await commands.accept(actor, id, 'start');
    const held = { streamId: id, epoch: (await ledger.claim('w', id))!.epoch };
    const table = {
      table: 'public.a',
      state: 'running',
      rows_done: 900,
      rows_estimated: 1000,
      order: null,
      note: 'slow',
    };
    const tables = [
      table,
      { ...table, state: 'waiting' },
      { ...table, state: 'done', order: 'snap_1' },
      { ...table, state: 'refused' },
    ];
    const told = {
      state: 'running',
      tables_total: 2,
      tables_done: 0,
      rows_done: 900,
      rows_estimated: 1000,
      tables,
    } as const;
    const shown = async () =>
      (await store.query<{ snapshot: unknown }[]>(`SELECT snapshot FROM streams WHERE id = $1`, [id]))[0]!.snapshot;
    const end = () => ledger.report(held, { snapshot: 'over' });
    await end();
    expect(await shown()).toBeNull();
    await ledger.report(held, { snapshot: told as never });
    await end();
    const over = { ...told, state: 'done', tables_done: 2, rows_estimated: 900 };
    expect(await shown()).toEqual({ ...over, tables: tables.slice(2) });
    await ledger.report(held, { snapshot: { ...told, state: 'done', tables_done: 1, tables: undefined } });
    await end();
    expect(await shown()).toMatchObject({ state: 'done', tables_done: 1 });
    await ledger.report(held, { snapshot: { ...told, tables: undefined } });
    await end();
    expect(await shown()).toMatchObject({ state: 'done', tables_done: 2, tables: [] });
  });

  it('condemns a stream that nobody reads, once, and no other; a start has to say what comes then (Invariant 3)', async () => {
    const { id } = await makeStream();
    await commands.accept(actor, id, 'start');
    const held = { streamId: id, epoch: (await ledger.claim('w', id))!.epoch };
    await ledger.remember(held, { slot: 'x' });
    const spec = async () => (await ledger.spec(id))!;
    const why = {
      code: 'wal_budget_exceeded',
      message: 'too much',
      hint: null,
      occurred_at: new Date(0).toISOString(),
    };
    expect(await ledger.condemn('k', await spec(), why)).toBeNull();
    expect(await ledger.resting('postgres_cdc')).not.toContain(id);
    await commands.accept(actor, id, 'stop');
    await ledger.report(held, { status: 'stopped', releaseLease: true }, 2);
    // It has no position, but it made something at its source.
    expect(await ledger.resting('postgres_cdc')).toContain(id);
    const judged = await spec();
    const won = await Promise.all(['k1', 'k2', 'k3'].map((keeper) => ledger.condemn(keeper, judged, why)));
    const [mine] = won.filter((one) => one !== null);
    expect(won.filter((one) => one !== null)).toHaveLength(1);
    expect(mine).toEqual({ streamId: id, epoch: judged.epoch + 1 });
    expect(await ledger.resting('postgres_cdc')).not.toContain(id);
    expect(await commands.accept(actor, id, 'start')).toMatchObject({ kind: 'position_lost' });
    // Rows of before say nothing of what is read now (Invariant 7).
    await store.query(`UPDATE streams SET snapshot = '{"state":"done"}' WHERE id = $1`, [id]);
    expect(await commands.accept(actor, id, 'start', 'resnapshot')).toMatchObject({
      ...{ kind: 'accepted', stream: { snapshot: null } },
    });
    // Whoever would read it waits until the one who gives its slot up has let go.
    expect(await ledger.claim('w', id)).toBeNull();
    expect(await ledger.report(mine!, { releaseLease: true })).toBe('written');
    expect(await ledger.claim('w', id)).toMatchObject({
      ...{ onLostPosition: 'resnapshot', epoch: judged.epoch + 2, givenUpAt: judged.generation + 1 },
    });
    // Newer commands are no newer decision.
    expect(await commands.accept(actor, id, 'pause')).toMatchObject({ kind: 'accepted' });
    expect(await ledger.spec(id)).toMatchObject({
      ...{ onLostPosition: 'resnapshot', generation: judged.generation + 2, givenUpAt: judged.generation + 1 },
    });
    expect(await ledger.condemn('k', judged, why)).toBeNull();
  });

  it('keeps saying why it gave a slot up once the slot is gone', async () => {
    const { id } = await makeStream();
    await store.query(`UPDATE streams SET status = 'stopped', owned = '{"slot":"x"}' WHERE id = $1`, [id]);
    const why = (code: string) => ({ code, message: code, hint: null, occurred_at: new Date(0).toISOString() });
    const condemn = async (code: string, again: boolean) =>
      ledger.condemn('k', (await ledger.spec(id))!, why(code), again);
    const said = async () =>
      (await store.query(`SELECT last_error ->> 'code' AS code FROM streams WHERE id = $1`, [id]))[0].code;
    const keeper = await condemn('wal_budget_exceeded', true);
    await ledger.report(keeper!, { releaseLease: true });
    expect(await condemn('slot_lost', false)).toBeNull();
    expect(await said()).toBe('wal_budget_exceeded');
    // What can be mended is not the reason any more.
    await store.query(`UPDATE streams SET last_error = '{"code":"auth_failed"}' WHERE id = $1`, [id]);
    expect(await condemn('slot_lost', false)).not.toBeNull();
    expect(await said()).toBe('slot_lost');
  });

  it('does not let an observation overwrite a newer command', async () => {
    const { id } = await makeStream();
    await commands.accept(actor, id, 'start');
    const held = { streamId: id, epoch: (await ledger.claim('w', id))!.epoch };
    await commands.accept(actor, id, 'stop');
    expect(await ledger.report(held, { status: 'running' }, 1)).toBe('superseded');
    expect(await commands.view(id)).toMatchObject({
      status: 'starting',
      desired: 'stopped',
      generation: 2,
      observedGeneration: 0,
      leased: true,
    });
    expect(await ledger.report(held, { status: 'stopped', releaseLease: true }, 2)).toBe('written');
    expect(await commands.view(id)).toMatchObject({ status: 'stopped', observedGeneration: 2, leased: false });
  });

  it('counts each of 200 racing commands once, with its outbox row', async () => {
    const { id } = await makeStream();
    const verbs = ['start', 'stop', 'pause', 'resume'] as const;
    // As many at once as there are connections: nobody waits so long for one that he is refused.
    const client = async (first: number): Promise<number> => {
      let accepted = 0;
      for (let i = first; i < 200; i += 8)
        if ((await commands.accept(actor, id, verbs[(i * 7) % 4]!)).kind === 'accepted') accepted++;
      return accepted;
    };
    const counts = await Promise.all(Array.from({ length: 8 }, (_, first) => client(first)));
    const accepted = counts.reduce((sum, one) => sum + one, 0);
    expect(accepted).toBeGreaterThan(0);
    expect((await commands.view(id))!.generation).toBe(accepted);
    const rows = await store.query('SELECT count(*)::int AS n FROM outbox WHERE stream_id = $1', [id]);
    expect(rows[0].n).toBe(accepted);
  });

  it('hands outbox rows to one relay only, and keeps them when it fails', async () => {
    await store.query('DELETE FROM outbox');
    const { id } = await makeStream();
    await commands.accept(actor, id, 'start');
    const outbox = new OutboxStore(store);
    await expect(outbox.relay(10, () => Promise.reject(new Error('redis is down')))).rejects.toThrow('redis is down');
    const seen: string[] = [];
    const take = () => outbox.relay(10, async (rows) => void seen.push(...rows.map((row) => row.stream_id)));
    await Promise.all([take(), take(), take()]);
    expect(seen).toEqual([id]);
  });

  it('pages stably while rows are added, and names are unique in a workspace', async () => {
    const other = { ...actor, workspaceId: (await new WorkspaceStore(store).create('paging')).id };
    const make = async (i: number) => pipelines.create(other, { name: `page${i}`, output: { type: 'redis_stream' } });
    for (let i = 0; i < 7; i++) await make(i);
    const seen: string[] = [];
    for (let before: string | null = null; ;) {
      const page = await pipelines.list(other.workspaceId, 3, before);
      seen.push(...page.map((row) => row.name));
      if (page.length < 3) break;
      before = page.at(-1)!.id;
      await make(100 + seen.length);
    }
    expect(seen).toEqual(['page6', 'page5', 'page4', 'page3', 'page2', 'page1', 'page0']);
    await expect(make(0)).rejects.toBeInstanceOf(NameTaken);
    expect(await pipelines.list(actor.workspaceId, 100, null)).not.toContainEqual(
      expect.objectContaining({ name: 'page0' }),
    );
  });

  it('refuses to remove what a stream uses', async () => {
    const stream = await makeStream();
    await expect(connections.remove(actor, stream.connection_id!)).rejects.toBeInstanceOf(InUse);
    await expect(pipelines.remove(actor, stream.pipeline_id)).rejects.toBeInstanceOf(InUse);
  });

  it('keeps the audit log append-only', async () => {
    await makeStream();
    await expect(store.query("UPDATE audit_log SET action = 'x'")).rejects.toThrow('append-only');
    await expect(store.query('DELETE FROM audit_log')).rejects.toThrow('append-only');
  });

  it('answers a repeated Idempotency-Key once', async () => {
    const idempotency = new IdempotencyStore(store);
    const of = { workspaceId: actor.workspaceId, keyId: 'key_1', key: 'k', route: 'POST /x', bodyHash: 'h' };
    const kinds = (await Promise.all([1, 2, 3].map(() => idempotency.begin(of)))).map((one) => one.kind).sort();
    expect(kinds).toEqual(['in_progress', 'in_progress', 'new']);
    await idempotency.finish('key_1', 'k', 201, '{}');
    expect(await idempotency.begin(of)).toEqual({ kind: 'stored', status: 201, answer: '{}' });
    expect(await idempotency.begin({ ...of, bodyHash: 'other' })).toEqual({ kind: 'conflict' });
  });
});
