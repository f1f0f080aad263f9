import { StreamError, systemClock, type EventLog, type Log } from '@planasonix/core';
import {
  openStore,
  OutboxStore,
  PgStreamLedger,
  PipelineStore,
  SecretBox,
  StreamCommands,
  StreamStore,
  WorkspaceStore,
  type Actor,
} from '@planasonix/store';
import { eventually, startPostgres, startRedis } from '@planasonix/testing';
import type { DataSource } from 'typeorm';
import { AskService, CommandService, consumeQueues, OutboxRelay, QueueProducer, type QueueConsumer } from './index.js';

jest.setTimeout(120_000);

const quiet: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

describe('commands, from acceptance to truth', () => {
  let server: Awaited<ReturnType<typeof startPostgres>>;
  let redis: Awaited<ReturnType<typeof startRedis>>;
  let store: DataSource;
  let actor: Actor;
  let commands: StreamCommands;
  let ledger: PgStreamLedger;
  let queues: QueueProducer;
  let n = 0;
  const fences: { id: string; epoch: number }[] = [];
  let logDown = false;
  /** A fake log: what is under test is that it is fenced before the row is. */
  const log = {
    fence: (id: string, epoch: number) => {
      if (logDown) return Promise.reject(new StreamError('log_unavailable', 'down'));
      fences.push({ id, epoch });
      return Promise.resolve();
    },
  } as unknown as EventLog;

  beforeAll(async () => {
    [server, redis] = await Promise.all([startPostgres(), startRedis()]);
    store = await openStore(server.url(), { log: quiet });
    const box = new SecretBox(Buffer.alloc(32).toString('base64'));
    commands = new StreamCommands(store);
    ledger = new PgStreamLedger(store, box);
    actor = {
      workspaceId: (await new WorkspaceStore(store).create('w')).id,
      keyId: null,
      address: null,
      requestId: null,
    };
    queues = new QueueProducer(redis.url);
  });
  afterAll(async () => {
    await queues?.close();
    await store?.destroy();
    await redis?.stop();
    await server?.stop('immediate');
  });

  const service = () =>
    new CommandService({ commands, ledger, kick: () => {}, nudge: () => {}, eventLog: () => log, clock: systemClock });

  async function makeStream(): Promise<string> {
    const pipeline = await new PipelineStore(store).create(actor, {
      name: `p${++n}`,
      output: { type: 'redis_stream' },
    });
    return (
      await new StreamStore(store, new SecretBox(Buffer.alloc(32).toString('base64'))).create(actor, {
        name: `s${n}`,
        sourceType: 'fake',
        pipelineId: pipeline.id,
        connectionId: null,
        config: {},
        secrets: null,
      })
    ).id;
  }

  /** A running stream with an owner; what the owner does next is the test's. */
  async function running(): Promise<{ id: string; held: { streamId: string; epoch: number } }> {
    const id = await makeStream();
    await service().execute(actor, id, 'start');
    const spec = (await ledger.claim('w', id))!;
    const held = { streamId: id, epoch: spec.epoch };
    await ledger.report(held, { status: 'running' }, spec.generation);
    return { id, held };
  }

  it('answers when the worker has confirmed, not before (Invariant 7)', async () => {
    const { id, held } = await running();
    let confirmed = false;
    const answer = service().execute(actor, id, 'stop');
    const view = await eventually('the command is accepted', async () => {
      const now = await commands.view(id);
      return now?.desired === 'stopped' && now;
    });
    expect(confirmed).toBe(false);
    confirmed = true;
    await ledger.report(held, { status: 'stopped', releaseLease: true }, (view as { generation: number }).generation);
    expect(await answer).toMatchObject({ status: 'stopped' });
    expect(fences.filter((one) => one.id === id)).toEqual([]);
  });

  it('bars a worker that does not answer: the log first, then the row; it is stopped all the same (trap 32)', async () => {
    const { id, held } = await running();
    const began = systemClock.monotonic();
    const kept = setInterval(() => void ledger.renew('w', [held]), 1000);
    expect(await service().execute(actor, id, 'stop')).toMatchObject({ status: 'stopped' });
    clearInterval(kept);
    expect(systemClock.monotonic() - began).toBeGreaterThanOrEqual(5000);
    expect(systemClock.monotonic() - began).toBeLessThan(20_000);
    expect(fences.find((one) => one.id === id)).toEqual({ id, epoch: held.epoch + 1 });
    expect(await ledger.report(held, { status: 'running' })).toBe('fenced');
    expect(await commands.view(id)).toMatchObject({ status: 'stopped', epoch: held.epoch + 1, owned: false });
  });

  it('changes nothing and says 503 where the fence can not be raised', async () => {
    const { id, held } = await running();
    const kept = setInterval(() => void ledger.renew('w', [held]), 1000);
    logDown = true;
    await expect(service().execute(actor, id, 'pause')).rejects.toMatchObject({
      httpStatus: 503,
      code: 'log_unavailable',
    });
    logDown = false;
    clearInterval(kept);
    expect(await commands.view(id)).toMatchObject({ status: 'running', desired: 'running', epoch: held.epoch });
    expect(await ledger.commitPositions(held, new Map([['', 'x']]))).toBe(true);
  });

  it('does not wait where nobody reads, and a resume without a worker never says running', async () => {
    const { id, held } = await running();
    const view = (await commands.view(id))!;
    await ledger.report(held, { status: 'error', releaseLease: true }, view.generation);
    const began = systemClock.monotonic();
    expect(await service().execute(actor, id, 'stop')).toMatchObject({ status: 'stopped' });
    expect(systemClock.monotonic() - began).toBeLessThan(4_000);
    const other = await running();
    const paused = service().execute(actor, other.id, 'pause');
    await eventually('it is asked for', async () => (await commands.view(other.id))?.desired === 'paused');
    await ledger.report(
      other.held,
      { status: 'paused', releaseLease: true },
      (await commands.view(other.id))!.generation,
    );
    await paused;
    expect(await service().execute(actor, other.id, 'resume')).toMatchObject({ status: 'starting' });
  });

  it('a command that a later one overtook says so', async () => {
    const { id, held } = await running();
    const first = service().execute(actor, id, 'pause');
    await eventually('it is asked for', async () => (await commands.view(id))?.desired === 'paused');
    const second = service().execute(actor, id, 'stop');
    await expect(first).rejects.toMatchObject({ httpStatus: 409, code: 'superseded' });
    await ledger.report(held, { status: 'stopped', releaseLease: true }, (await commands.view(id))!.generation);
    expect(await second).toMatchObject({ status: 'stopped' });
  });

  it('rings each bell, also after Redis was away; rows stay until then', async () => {
    const rung: string[] = [];
    let left = 0;
    const outbox = new OutboxStore(store);
    await store.query('DELETE FROM outbox');
    const relays = [1, 2].map(() => new OutboxRelay(outbox, queues, systemClock, quiet));
    await redis.kill();
    await eventually('Redis is gone', async () =>
      queues.ping().then(
        () => false,
        () => true,
      ),
    );
    const id = await makeStream();
    await service().execute(actor, id, 'start');
    for (const relay of relays) relay.start();
    await eventually(
      'a relay has tried',
      async () => (await store.query('SELECT count(*)::int AS n FROM outbox'))[0].n === 1,
    );
    await redis.start();
    let [unanswered, release] = [0, () => {}];
    const gate = new Promise<void>((resolve) => (release = resolve));
    const consumer: QueueConsumer = consumeQueues(redis.url, 'fake', {
      look: (job) => (rung.push(job.streamId), Promise.resolve()),
      answer: async (job, leftMs) => {
        left = leftMs;
        if (job.kind === 'order') await (unanswered++, gate);
        return { kind: job.kind };
      },
    });
    await eventually('the bell rings', () => rung.includes(id));
    await eventually(
      'the row goes after it',
      async () => (await store.query('SELECT count(*)::int AS n FROM outbox'))[0].n === 0,
    );
    // Once or more: a bell whose answer was slow is rung again.
    expect(new Set(rung)).toEqual(new Set([id]));
    const asks = new AskService({ live: () => Promise.resolve(1) }, queues, systemClock);
    expect(await asks.ask('fake', { kind: 'check', streamId: id }, 5000)).toEqual({ kind: 'check' });
    await expect(
      new AskService({ live: () => Promise.resolve(0) }, queues, systemClock).ask('fake', { kind: 'check' }, 100),
    ).rejects.toMatchObject({ code: 'no_worker' });
    // Many that are not answered do not hold up the next one: whom they are about is for the worker to tell apart.
    const silent = Array.from({ length: 24 }, () =>
      asks.ask('fake', { kind: 'order' }, 4_000).catch((error: unknown) => error),
    );
    const began = performance.now();
    await eventually('they are under way', () => unanswered === 24);
    expect(await asks.ask('fake', { kind: 'check', streamId: id }, 3_000)).toEqual({ kind: 'check' });
    expect(performance.now() - began).toBeLessThan(3_000);
    release();
    await Promise.all(silent);
    // One whose heartbeat is late is not absent.
    const since = Date.now();
    const late = { live: () => Promise.resolve(Date.now() - since > 1500 ? 1 : 0) };
    expect(await new AskService(late, queues, systemClock).ask('fake', { kind: 'check', streamId: id }, 5000)).toEqual({
      kind: 'check',
    });
    // A gateway whose clock is an hour behind its workers' is answered all the same, in the time that is left.
    const behind = { ...systemClock, now: () => systemClock.now() - 3_600_000 };
    const askedLate = new AskService({ live: () => Promise.resolve(1) }, queues, behind);
    expect(await askedLate.ask('fake', { kind: 'check', streamId: id }, 5000)).toEqual({ kind: 'check' });
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(5000);
    await expect(asks.ask('nobody', { kind: 'check' }, 300)).rejects.toMatchObject({
      httpStatus: 503,
      code: 'worker_busy',
    });
    await Promise.all(relays.map((relay) => relay.stop()));
    await consumer.close();
  });
});
