import { StreamError, systemClock, type EventLog, type Log, type Steps } from '@planasonix/core';
import {
  AuditStore,
  DepartedLogStore,
  ForgottenStore,
  openStore,
  PgStreamLedger,
  PipelineStore,
  SecretBox,
  StreamCommands,
  StreamDeletion,
  StreamStore,
  WorkspaceStore,
  type Actor,
} from '@planasonix/store';
import { eventually, startPostgres } from '@planasonix/testing';
import type { DataSource } from 'typeorm';
import { AskService, CommandService, DeleteService, DepartedLogs, LifecycleError } from './index.js';

jest.setTimeout(120_000);

const quiet: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

describe('deleting a stream', () => {
  let server: Awaited<ReturnType<typeof startPostgres>>;
  let store: DataSource;
  let actor: Actor;
  let commands: StreamCommands;
  let deletion: StreamDeletion;
  let ledger: PgStreamLedger;
  const box = new SecretBox(Buffer.alloc(32).toString('base64'));
  let n = 0;
  let logDown = false;
  const down = () => (logDown ? Promise.reject(new StreamError('log_unavailable', 'down')) : Promise.resolve());
  /** A fake log that is there or not: what is under test is the row. */
  const log = {
    fence: down,
    expire: async (id: string, seconds: number) => {
      await down();
      expired.set(id, seconds);
    },
  } as unknown as EventLog;
  /** Seconds that logs were told. */
  const expired = new Map<string, number>();
  /** Which logs those were. */
  const told: string[] = [];
  let departed: DepartedLogs;
  const gently = { force: false, purge: false };

  beforeAll(async () => {
    server = await startPostgres();
    store = await openStore(server.url(), { log: quiet });
    commands = new StreamCommands(store);
    deletion = new StreamDeletion(store);
    ledger = new PgStreamLedger(store, box);
    departed = new DepartedLogs({
      store: new DepartedLogStore(store),
      eventLog: (output) => ({
        ...log,
        expire: (id, ...of) => (told.push(`${output.type} ${id}`), log.expire(id, ...of)),
      }),
      clock: systemClock,
      log: quiet,
    });
    actor = {
      workspaceId: (await new WorkspaceStore(store).create('w')).id,
      keyId: null,
      address: null,
      requestId: null,
    };
  });
  afterEach(() => (logDown = false));
  afterAll(async () => {
    await store?.destroy();
    await server?.stop('immediate');
  });

  const service = () =>
    new CommandService({ commands, ledger, kick: () => {}, nudge: () => {}, eventLog: () => log, clock: systemClock });

  /** @param answer what the one worker that there is answers; an error: the queue is down */
  const remover = (answer: unknown, workers = 1, asked: () => Promise<void> = () => Promise.resolve(), step?: Steps) =>
    new DeleteService({
      commands,
      deletion,
      ledger,
      service: service(),
      asks: new AskService(
        { live: () => Promise.resolve(workers) },
        {
          ping: () => (answer instanceof Error ? Promise.reject(answer) : Promise.resolve()),
          ask: () => asked().then(() => answer),
        },
        systemClock,
      ),
      forgotten: new ForgottenStore(store, box),
      logs: departed,
      step,
      kick: () => {},
      nudge: () => {},
      eventLog: () => log,
    });
  const NOTHING_LEFT = { released: [], remaining: [] };

  async function makeStream(): Promise<string> {
    const named = { name: `n${++n}` };
    const pipeline = await new PipelineStore(store).create(actor, {
      ...named,
      output: { type: 'redis_stream' },
    });
    const of = { sourceType: 'fake', pipelineId: pipeline.id, connectionId: null };
    return (await new StreamStore(store, box).create(actor, { ...named, ...of, config: {}, secrets: null })).id;
  }

  /** A running stream that holds a slot, with an owner of whom nothing more is heard. */
  async function running(): Promise<string> {
    const id = await makeStream();
    await service().execute(actor, id, 'start');
    const spec = (await ledger.claim('w', id))!;
    const held = { streamId: id, epoch: spec.epoch };
    await ledger.report(held, { status: 'running' }, spec.generation);
    await ledger.remember(held, { slot: 'planasonix_x' });
    return id;
  }
  const died = (id: string) =>
    store.query(`UPDATE streams SET lease_expires_at = clock_timestamp() - interval '1 second' WHERE id = $1`, [id]);
  const row = async (id: string) => (await store.query('SELECT * FROM streams WHERE id = $1', [id]))[0];

  it('that made nothing at its source needs no worker, also at the second try', async () => {
    const id = await makeStream();
    logDown = true;
    await expect(remover(null, 0).remove(actor, id, gently)).rejects.toMatchObject({ code: 'log_unavailable' });
    logDown = false;
    expect(await remover(null, 0).remove(actor, id, gently)).toBeInstanceOf(Date);
    expect(await commands.view(id)).toBeNull();
  });

  it('that holds a slot waits for a worker, and takes no answer that says nothing', async () => {
    const id = await running();
    await died(id);
    const isStopped = { message: expect.stringMatching(/\. It was not deleted, and is stopped now\.$/) };
    await expect(remover(null, 0).remove(actor, id, gently)).rejects.toMatchObject({ code: 'no_worker', ...isStopped });
    for (const nothing of [null, {}, { remaining: 'none' }])
      await expect(remover(nothing).remove(actor, id, gently)).rejects.toMatchObject({ httpStatus: 503 });
    const left = { remaining: [{ what: 'slot planasonix_x', why: 'in use', code: 'active_consumers' }] };
    await expect(remover(left).remove(actor, id, gently)).rejects.toMatchObject({
      code: 'active_consumers',
      // It was stopped before.
      message: 'slot planasonix_x: in use',
    });
    expect(await commands.view(id)).toMatchObject({ status: 'stopped' });
    expect(await remover(NOTHING_LEFT).remove(actor, id, gently)).toBeInstanceOf(Date);
  });

  it('whose gateway died is barred for a minute, not for ever', async () => {
    const id = await makeStream();
    await deletion.begin(actor, id);
    expect(await commands.accept(actor, id, 'start')).toEqual({ kind: 'deleting' });
    await store.query(`UPDATE streams SET deleting_at = deleting_at - interval '61 seconds' WHERE id = $1`, [id]);
    expect(await commands.accept(actor, id, 'start')).toMatchObject({ kind: 'accepted' });
    expect((await row(id)).deleting_at).toBeNull();
  });

  it('changes nothing where its owner is dead and the log can not be told: 503, and it says what it said (Invariant 7)', async () => {
    const id = await running();
    await died(id);
    logDown = true;
    await expect(remover(NOTHING_LEFT).remove(actor, id, gently)).rejects.toMatchObject({ code: 'log_unavailable' });
    const { status, desired_status, generation, observed_generation, deleting_at } = await row(id);
    expect({ status, desired_status, deleting_at }).toEqual({
      status: 'running',
      desired_status: 'running',
      deleting_at: null,
    });
    expect(observed_generation).toBe(generation);
    expect(await ledger.claim('w2', id)).toMatchObject({ desired: 'running' });
  });

  it('with force removes the metadata with log and queue down, and leaves the rest to the janitor', async () => {
    const id = await running();
    await died(id);
    logDown = true;
    expect(await remover(new Error('down')).remove(actor, id, { force: true, purge: false })).toBeInstanceOf(Date);
    expect(await commands.view(id)).toBeNull();
    expect(await new ForgottenStore(store, box).due('fake')).toMatchObject({
      streamId: id,
      spec: { owned: { slot: 'planasonix_x' } },
    });
    // One whose secrets can't be opened any more says so in its row, for whoever looks why the slot is still there.
    await store.query(`UPDATE forgotten SET next_try_at = clock_timestamp() WHERE stream_id = $1`, [id]);
    const other = new SecretBox(Buffer.alloc(32, 1).toString('base64'));
    await expect(new ForgottenStore(store, other).due('fake')).rejects.toMatchObject({ code: 'secrets_sealed' });
    const [row] = await store.query(`DELETE FROM forgotten WHERE stream_id = $1 RETURNING last_error`, [id]);
    expect(row[0].last_error).toContain('secrets');
  });

  it('is done by one at a time, who alone lifts what bars commands meanwhile', async () => {
    const id = await running();
    await died(id);
    let answered = () => {};
    const asked = new Promise<void>((resolve) => (answered = resolve));
    const first = remover(NOTHING_LEFT, 1, () => asked).remove(actor, id, gently);
    await eventually('it is stopped', async () => (await row(id)).status === 'stopped');
    const second = await remover(NOTHING_LEFT)
      .remove(actor, id, gently)
      .catch((error: unknown) => error);
    expect(second).toBeInstanceOf(LifecycleError);
    expect(second).toMatchObject({ httpStatus: 409, code: 'deleting' });
    expect(await commands.accept(actor, id, 'start')).toEqual({ kind: 'deleting' });
    answered();
    expect(await first).toBeInstanceOf(Date);
  });

  it('that took longer than a minute removes nothing that was started meanwhile', async () => {
    const id = await running();
    await died(id);
    const late = remover(NOTHING_LEFT, 1, async () => {
      await store.query(`UPDATE streams SET deleting_at = deleting_at - interval '61 seconds' WHERE id = $1`, [id]);
      expect(await commands.accept(actor, id, 'start')).toMatchObject({ kind: 'accepted' });
      await deletion.begin(actor, id);
    });
    await expect(late.remove(actor, id, gently)).rejects.toMatchObject({ httpStatus: 409, code: 'superseded' });
    expect(await commands.accept(actor, id, 'start')).toEqual({ kind: 'deleting' });
  });

  it('takes nothing from the log before the row is gone; whoever dies then leaves it to others, not for ever', async () => {
    const id = await makeStream();
    const dies = (at: string) => (step: string) => {
      if (step === at) throw new Error('killed');
    };
    const killedAt = (at: string) => remover(null, 0, undefined, dies(at)).remove(actor, id, gently);
    await expect(killedAt('delete-released')).rejects.toThrow('killed');
    expect([expired.has(id), await commands.view(id)]).toEqual([false, expect.objectContaining({ id })]);
    await expect(killedAt('delete-removed')).rejects.toThrow('killed');
    expect([expired.has(id), await commands.view(id)]).toEqual([false, null]);
    await departed.sweep();
    expect(expired.has(id)).toBe(false);
    await store.query(`UPDATE departed_logs SET next_try_at = clock_timestamp() WHERE stream_id = $1`, [id]);
    logDown = true;
    await departed.sweep();
    logDown = false;
    await store.query(`UPDATE departed_logs SET next_try_at = clock_timestamp() WHERE stream_id = $1`, [id]);
    await departed.sweep();
    expect(expired.get(id)).toBeGreaterThan(86_000);
    expect(await store.query('SELECT 1 FROM departed_logs WHERE stream_id = $1', [id])).toEqual([]);
    // Before the pipeline named Kafka the stream may have written to Redis: that goes too.
    const output = { type: 'kafka', connectionId: 'conn_1', topic: 't' } as const;
    await departed.expire({ streamId: 'str_moved', output, epoch: 1, seconds: 60 });
    expect(told.filter((one) => one.endsWith('str_moved'))).toEqual(['kafka str_moved', 'redis_stream str_moved']);
  });

  it('leaves the stopping of one that ran in the audit log, also where it is not deleted then', async () => {
    const id = await running();
    await died(id);
    await expect(remover(null, 0).remove(actor, id, gently)).rejects.toMatchObject({ code: 'no_worker' });
    const [entry] = await new AuditStore(store).list(actor.workspaceId, 1, null);
    expect(entry).toMatchObject({ action: 'stream.stop', resource_id: id, before: { status: 'running' } });
  });
});
