import { systemClock, type ChangeBatch, type EventLog, type Log } from '@planasonix/core';
import { openLog } from '@planasonix/sinks';
import {
  DepartedLogStore,
  DraftStore,
  ForgottenStore,
  openStore,
  PgStreamLedger,
  PipelineStore,
  PositionStore,
  SecretBox,
  StreamCommands,
  StreamDeletion,
  StreamStore,
  WorkspaceStore,
  type Actor,
} from '@planasonix/store';
import { startPostgres, startProxy, startRedis, type Proxy } from '@planasonix/testing';
import type { DataSource } from 'typeorm';
import {
  AskService,
  CommandService,
  DeleteService,
  DepartedLogs,
  PositionService,
  type LifecycleError,
  type PositionDeps,
} from './index.js';

jest.setTimeout(120_000);

const quiet: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const noQueues = { ping: () => Promise.resolve(), ask: () => Promise.reject(new Error('nobody asks')) };
const never = new AbortController().signal;

function batch(first: number, last: number): ChangeBatch {
  const events = Array.from({ length: last - first + 1 }, (_, i) => ({
    ...{ id: `e-${first + i}`, type: 't', subject: 's', time: '2025-01-01T00:00:00.000Z', timeMs: 0 },
    ...{ partitionkey: '', data: Buffer.from('{}'), order: String(first + i).padStart(8, '0') },
  }));
  return { partition: '', events, position: String(last) };
}

describe('a position that is set by hand', () => {
  let server: Awaited<ReturnType<typeof startPostgres>>;
  let redis: Awaited<ReturnType<typeof startRedis>>;
  let network: Proxy;
  let store: DataSource;
  let actor: Actor;
  let log: EventLog;
  let streams: StreamStore;
  let commands: StreamCommands;
  let ledger: PgStreamLedger;
  let positions: PositionStore;
  let n = 0;
  let answer: unknown;
  const box = new SecretBox(Buffer.alloc(32).toString('base64'));

  beforeAll(async () => {
    [server, redis] = await Promise.all([startPostgres(), startRedis()]);
    network = await startProxy({ targetPort: redis.port });
    store = await openStore(server.url(), { log: quiet });
    log = openLog({ type: 'redis_stream' }, { redisUrl: `redis://127.0.0.1:${network.port}` });
    streams = new StreamStore(store, box);
    commands = new StreamCommands(store);
    ledger = new PgStreamLedger(store, box);
    positions = new PositionStore(store);
    const { id: workspaceId } = await new WorkspaceStore(store).create('w');
    actor = { workspaceId, keyId: null, address: null, requestId: null };
  });
  beforeEach(() => (answer = { kind: 'settled', positions: [['', '3']] }));
  afterAll(async () => {
    await log?.close();
    await network?.stop();
    await store?.destroy();
    await redis?.stop();
    await server?.stop('immediate');
  });

  const service = (over: Partial<PositionDeps> = {}) =>
    new PositionService({
      ...{ streams, positions, ledger, clock: systemClock, drafts: new DraftStore(store, box) },
      asks: { ask: () => Promise.resolve(answer) },
      eventLog: () => log,
      ...over,
    });
  const refused = async (promise: Promise<unknown>): Promise<LifecycleError> =>
    promise.then(() => Promise.reject(new Error('was not refused')), (error: unknown) => error as LifecycleError); // prettier-ignore

  /** Five events in the log, committed at 5, and stopped. */
  async function rested(): Promise<string> {
    const pipelines = new PipelineStore(store);
    const pipeline = await pipelines.create(actor, { name: `p${++n}`, output: { type: 'redis_stream' } });
    const of = { sourceType: 'fake', pipelineId: pipeline.id, connectionId: null, config: {}, secrets: null };
    const { id } = await streams.create(actor, { name: `s${n}`, ...of });
    await commands.accept(actor, id, 'start');
    const { epoch } = (await ledger.claim('w', id))!;
    const sink = log.sink(id, epoch);
    await sink.open();
    await sink.append(batch(1, 5), never);
    await sink.close();
    await ledger.commitPositions({ streamId: id, epoch }, new Map([['', '5']]));
    await commands.accept(actor, id, 'stop');
    const { generation } = (await commands.view(id))!;
    await ledger.report({ streamId: id, epoch }, { status: 'stopped', releaseLease: true }, generation);
    return id;
  }
  /** What the next owner finds, and does. */
  async function goesOn(id: string) {
    expect(await commands.accept(actor, id, 'start')).toMatchObject({ kind: 'accepted' });
    const spec = (await ledger.claim('w2', id))!;
    const sink = log.sink(id, spec.epoch);
    const opened = await sink.open();
    const from = Number(opened.positions.get(''));
    const { events } = await sink.append(batch(from + 1, 6), never);
    await sink.close();
    return { from, events };
  }

  it('goes back: the next owner reads from there, and the same ids are in the log again', async () => {
    const id = await rested();
    const known = await service().set(actor, id, { at: 3 });
    expect(known).toEqual({ positions: new Map([['', '3']]), committedAt: expect.any(Date), pending: null });
    expect(await goesOn(id)).toEqual({ from: 3, events: 3 });
    expect((await log.read(id, { limit: 99 })).map((entry) => entry.id)).toEqual(
      ['e-1', 'e-2', 'e-3', 'e-4', 'e-5', 'e-4', 'e-5', 'e-6'], // prettier-ignore
    );
  });

  it("is refused in the source's words, and nothing has changed", async () => {
    const id = await rested();
    answer = { kind: 'refused', code: 'offset_gap', message: 'The slot is at 0/9.', hint: 'Go there.' };
    expect(await refused(service().set(actor, id, {}))).toMatchObject({
      httpStatus: 409,
      code: 'position_refused',
      message: 'The slot is at 0/9.',
      hint: 'Go there.',
      details: [{ field: 'position', issue: 'offset_gap' }],
    });
    answer = { kind: 'refused', code: 'config_invalid', message: 'Not an LSN.', hint: 'h' };
    expect(await refused(service().set(actor, id, {}))).toMatchObject({ httpStatus: 400, code: 'invalid_request' });
    answer = { kind: 'unsupported' };
    expect(await refused(service().set(actor, id, {}))).toMatchObject({ code: 'position_unsupported' });
    for (answer of [null, { kind: 'settled', positions: 'x' }])
      expect(await refused(service().set(actor, id, {}))).toMatchObject({ httpStatus: 503, code: 'worker_busy' });
    expect(await goesOn(id)).toEqual({ from: 5, events: 1 });
  });

  it('a worker that says meanwhile that the place is lost is not a later command', async () => {
    const id = await rested();
    let asked = 0;
    const ask = async () => {
      const why = { code: 'slot_lost', message: 'm', hint: 'h', occurred_at: new Date(0).toISOString() };
      if (asked++ === 0) expect(await ledger.condemn('w2', (await ledger.spec(id))!, why)).not.toBeNull();
      // Held while the second one begins, and given back after that.
      else if (asked === 3)
        await ledger.report({ streamId: id, epoch: (await ledger.spec(id))!.epoch }, { releaseLease: true });
      return answer;
    };
    await service({ asks: { ask } }).set(actor, id, {});
    expect(asked).toBe(3);
    expect(await streams.get(actor.workspaceId, id)).toMatchObject({ status: 'stopped', last_error: null });
    expect(await goesOn(id)).toEqual({ from: 3, events: 3 });
  });

  it('a command that comes meanwhile is the later one', async () => {
    const id = await rested();
    const ask = async () => {
      await commands.accept(actor, id, 'start');
      await commands.accept(actor, id, 'stop');
      return answer;
    };
    expect(['superseded', 'stream_active']).toContain(
      (await refused(service({ asks: { ask } }).set(actor, id, {}))).code,
    );
    expect((await positions.read(id)).positions).toEqual(new Map([['', '5']]));
  });

  it('with the log down it is 503, and nothing has changed', async () => {
    const id = await rested();
    network.cut();
    expect(await refused(service().set(actor, id, {}))).toMatchObject({ httpStatus: 503, code: 'log_unavailable' });
    network.resume();
    expect((await positions.read(id)).positions).toEqual(new Map([['', '5']]));
    expect(await goesOn(id)).toEqual({ from: 5, events: 1 });
  });

  it('with the log lost in the middle nothing starts until it has been set once more', async () => {
    const id = await rested();
    /** The connection is gone after the fence; whether the positions got there nobody can say. */
    const cutting = { fence: log.fence.bind(log), place: (...of: Parameters<EventLog['place']>) => (network.cut(), log.place(...of)) } as EventLog; // prettier-ignore
    expect(await refused(service({ eventLog: () => cutting }).set(actor, id, {}))).toMatchObject({
      httpStatus: 503,
      message: expect.stringContaining('once more'),
    });
    network.resume();
    expect(await commands.accept(actor, id, 'start')).toEqual({ kind: 'position_pending' });
    answer = { kind: 'settled', positions: [['', '4']] };
    await service().set(actor, id, {});
    expect(await goesOn(id)).toEqual({ from: 4, events: 2 });
  });

  it('a log that comes back in time is written all the same', async () => {
    const id = await rested();
    let failures = 0;
    const shaky = {
      fence: log.fence.bind(log),
      place: (...of: Parameters<EventLog['place']>) => {
        if (failures++ === 0) network.cut();
        else network.resume();
        return log.place(...of);
      },
    } as EventLog;
    await service({ eventLog: () => shaky }).set(actor, id, {});
    expect(failures).toBeGreaterThan(1);
    expect(await goesOn(id)).toEqual({ from: 3, events: 3 });
  });

  it.each([true, false])(
    'a delete (purge: %s) that overtakes it leaves no log behind that stays for ever',
    async (purge) => {
      const id = await rested();
      const eventLog = () => log;
      const once = { commands, ledger, kick: () => {}, nudge: () => {}, eventLog, clock: systemClock };
      const remover = new DeleteService({
        ...once,
        service: new CommandService(once),
        asks: new AskService({ live: () => Promise.resolve(0) }, noQueues, systemClock),
        deletion: new StreamDeletion(store),
        forgotten: new ForgottenStore(store, box),
        logs: new DepartedLogs({ store: new DepartedLogStore(store), eventLog, clock: systemClock, log: quiet }),
      });
      /** Begun in the store; the delete comes before it has touched the log. */
      const late = {
        fence: async (...of: Parameters<EventLog['fence']>) => {
          await remover.remove(actor, id, { force: false, purge });
          await log.fence(...of);
        },
        place: log.place.bind(log),
      } as EventLog;
      expect(await refused(service({ eventLog: () => late }).set(actor, id, {}))).toMatchObject({ code: 'superseded' });
      const client = redis.client();
      expect(await client.ttl(`plnx:log:{${id}}`)).toBeGreaterThan(0);
      expect(await client.hget(`plnx:log:{${id}}`, 'pos:')).toBe(purge ? null : '5');
      expect(await client.exists(`plnx:events:{${id}}`)).toBe(purge ? 0 : 1);
    },
  );

  it('is refused while it reads; the last of many at once wins, and a start among them is never torn', async () => {
    const id = await rested();
    const outcomes = await Promise.allSettled([
      ...Array.from({ length: 8 }, () => service().set(actor, id, {})),
      commands.accept(actor, id, 'start'),
    ]);
    for (const one of outcomes)
      if (one.status === 'rejected') expect(['superseded', 'stream_active']).toContain((one.reason as LifecycleError).code); // prettier-ignore
    const started = outcomes.at(-1) as PromiseFulfilledResult<{ kind: string }>;
    if (started.value.kind === 'accepted') {
      expect(await refused(service().set(actor, id, {}))).toMatchObject({ httpStatus: 409, code: 'stream_active' });
      const spec = (await ledger.claim('w3', id))!;
      const { positions: found } = await log.sink(id, spec.epoch).open();
      expect((await positions.read(id)).positions).toEqual(found);
    } else {
      expect(started.value.kind).toBe('position_pending');
      await service().set(actor, id, {});
      expect(await goesOn(id)).toEqual({ from: 3, events: 3 });
    }
  });
});
