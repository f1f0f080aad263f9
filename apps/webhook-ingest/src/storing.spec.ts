import { StreamError, systemClock, type Clock, type Intake, type TakenIn } from '@planasonix/core';
import type { Door } from './door.js';
import { Storing } from './storing.js';
import { Tally } from './tally.js';

const never = new Promise<never>(() => undefined);

/** One stream whose log answers as it is told to. */
function storingOf(of: {
  readonly backpressure?: 'reject' | 'queue' | 'shed';
  readonly append: (streamId: string, epoch: number, intake: Intake) => Promise<TakenIn>;
  readonly blocked?: (held: unknown, why: string | null) => Promise<void>;
  readonly directory?: Partial<Record<'has' | 'reopen', (of: unknown) => unknown>>;
  readonly clock?: Clock;
}) {
  const row = { epoch: 1, version: 'v', isBlocked: false, output: {} };
  const config = { backpressure: of.backpressure ?? 'reject' };
  const door = { id: 'str_x', row, isOpen: true, queueMs: 10_000, config } as unknown as Door;
  const tally = new Tally();
  const storing = new Storing({
    ledger: { blocked: of.blocked ?? (() => Promise.resolve()) },
    inlets: { of: () => ({ append: of.append }) },
    directory: { byId: () => door, has: () => true, ...of.directory },
    reporter: { of: () => tally },
    clock: of.clock ?? systemClock,
  } as never);
  const deliver = (id = 'e', at = door) => {
    const intake = { id, timeMs: 0, parts: [{}] } as unknown as Intake;
    return storing.store(at, { intake, eventId: 'e', events: null });
  };
  return { door, tally, deliver };
}

/** Time that goes on when it is told to. */
function heldTime() {
  const sleeping: (() => void)[] = [];
  let now = 0;
  const clock: Clock = {
    ...{ now: () => now, monotonic: () => now },
    sleep: (ms) => new Promise((resolve) => sleeping.push(() => resolve(((now += ms), true)))),
  };
  const pass = async () => {
    await new Promise(setImmediate);
    sleeping.splice(0).forEach((wake) => wake());
    await new Promise(setImmediate);
  };
  return { clock, pass };
}

it('that there is no room is told to the store again, where it did not hear of it', async () => {
  const told: (string | null)[] = [];
  let away = true;
  const blocked = (_held: unknown, why: string | null) => {
    told.push(why);
    return away ? Promise.reject(new Error('the store is away')) : Promise.resolve();
  };
  const { deliver } = storingOf({ append: () => Promise.resolve({ kind: 'full' }), blocked });
  expect((await deliver()).status).toBe(429);
  away = false;
  await deliver();
  await deliver();
  expect(told).toEqual(['log_full', 'log_full']);
});

it('what was told of a stream is forgotten when it is there no more (Invariant 6)', async () => {
  const told: unknown[] = [];
  const { door, deliver } = storingOf({
    append: () => Promise.resolve({ kind: 'full' }),
    blocked: (held) => Promise.resolve(void told.push((held as { streamId: string }).streamId)),
    directory: { has: (id) => id !== 'str_x' },
  });
  for (const id of ['str_x', 'str_y', 'str_x', 'str_y']) await deliver('e', { ...door, id });
  expect(told).toEqual(['str_x', 'str_y', 'str_x']);
});

describe('where there is no room (trap 29, Invariant 6)', () => {
  it.each(['reject', 'queue'] as const)(
    '%s: beyond 4,000 that wait the next is told to come again',
    async (backpressure) => {
      const { deliver } = storingOf({ backpressure, append: () => never });
      for (let i = 0; i < 4_000; i++) void deliver();
      expect(await deliver()).toMatchObject({
        ...{ status: 429, reason: 'backlog_full', headers: { 'retry-after': '5' }, eventId: 'e' },
      });
    },
  );

  it('shed: beyond them it is dropped, and counted as such', async () => {
    const { tally, deliver } = storingOf({ backpressure: 'shed', append: () => never });
    for (let i = 0; i < 4_000; i++) void deliver();
    expect(await deliver()).toMatchObject({ status: 200, reason: 'dropped' });
    expect(tally.take().counts.dropped).toBe(1);
  });

  it('queue: beyond 1,000 that wait for room the next is told to come again, at once', async () => {
    const clock: Clock = { ...systemClock, sleep: () => never };
    const { deliver } = storingOf({ backpressure: 'queue', append: () => Promise.resolve({ kind: 'full' }), clock });
    for (let i = 0; i < 1_000; i++) void deliver();
    expect(await deliver()).toMatchObject({ status: 429, reason: 'log_full', headers: { 'retry-after': '5' } });
  });
});

describe('queue keeps the order in which deliveries came (Invariant 5)', () => {
  /** A log with room for so many. */
  function small() {
    const { clock, pass } = heldTime();
    const log: string[] = [];
    const tries: string[] = [];
    const of = { room: 0, answers: (taken: TakenIn) => Promise.resolve(taken) };
    const append = (_stream: string, _epoch: number, { id }: Intake) => {
      tries.push(id);
      if (of.room === 0) return of.answers({ kind: 'full' });
      of.room--;
      log.push(id);
      return of.answers({ kind: 'written', id });
    };
    const said: (string | null)[] = [];
    const blocked = (_held: unknown, why: string | null) => Promise.resolve(void said.push(why));
    return { ...{ of, log, tries, said, pass }, ...storingOf({ backpressure: 'queue', append, blocked, clock }) };
  }

  it('who comes while another waits for room waits behind him, whatever room there is by then', async () => {
    const { of, log, tries, pass, deliver } = small();
    const first = deliver('a1');
    await pass();
    of.room = 2;
    const all = Promise.all([first, deliver('a2'), deliver('a3')]);
    await pass();
    expect(log).toEqual(['a1', 'a2']);
    of.room = 2;
    const last = deliver('a4');
    await pass();
    expect(log).toEqual(['a1', 'a2', 'a3', 'a4']);
    expect([...(await all), await last].map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    // Nobody waits any more.
    const tried = tries.length;
    void deliver('a5');
    expect(tries.slice(tried)).toEqual(['a5']);
  });

  it('also where one heard later than the next that there was no room', async () => {
    const { of, log, pass, deliver } = small();
    const answers: (() => void)[] = [];
    of.answers = (taken) => new Promise((resolve) => answers.push(() => resolve(taken)));
    const all = Promise.all([deliver('a1'), deliver('a2')]);
    answers.reverse().forEach((answer) => answer());
    of.answers = (taken) => Promise.resolve(taken);
    await new Promise(setImmediate);
    of.room = 2;
    await pass();
    await all;
    expect(log).toEqual(['a1', 'a2']);
  });

  it('the row says that there is no room as long as somebody waits for it (Invariant 7)', async () => {
    const { of, log, said, pass, deliver } = small();
    const all = Promise.all([deliver('a1'), deliver('a2')]);
    await pass();
    of.room = 1;
    await pass();
    expect([log, said]).toEqual([['a1'], ['log_full']]);
    of.room = 1;
    await pass();
    await all;
    expect(said).toEqual(['log_full', null]);
  });

  it('and gives up when the time of each is over, not before', async () => {
    const { pass, deliver, tries } = small();
    let isTold = false;
    void deliver('a1').then(({ status }) => (isTold = status === 429));
    for (let i = 0; i < 15; i++) await pass();
    const before = isTold;
    for (let i = 0; i < 15; i++) await pass();
    expect([before, isTold]).toEqual([false, true]);
    expect(tries.length).toBeGreaterThan(15);
  });
});

it('what is not durable is to be sent again, and the reason is noted for the user', async () => {
  const { tally, deliver } = storingOf({
    append: () => Promise.reject(new StreamError('log_unavailable', 'Redis is away')),
  });
  expect(await deliver()).toMatchObject({
    ...{ status: 503, reason: 'log_unavailable', headers: { 'retry-after': '1' }, eventId: 'e' },
  });
  expect(tally.held).toBe(0);
});

it('a sender hears in his time also while a log is opened anew, and that takes longer (trap 29)', async () => {
  const { clock, pass } = heldTime();
  const { deliver } = storingOf({
    append: () => Promise.reject(new StreamError('offset_gap', 'Another log')),
    directory: { reopen: () => never },
    clock,
  });
  let answer: unknown = null;
  void deliver().then(({ status, reason }) => (answer = { status, reason }));
  await pass();
  expect([answer, clock.now()]).toEqual([{ status: 503, reason: 'offset_gap' }, 3_000]);
});
