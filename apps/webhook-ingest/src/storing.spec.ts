import { StreamError, systemClock, type Clock, type Intake, type TakenIn } from '@planasonix/core';
import type { Door } from './door.js';
import { Storing } from './storing.js';
import { Tally } from './tally.js';

const never = new Promise<never>(() => undefined);

/** One stream whose log answers as it is told to. */
function storingOf(of: {
  readonly backpressure?: 'reject' | 'queue' | 'shed';
  readonly append: () => Promise<TakenIn>;
  readonly blocked?: (held: unknown, why: string | null) => Promise<void>;
  readonly clock?: Clock;
}) {
  const row = { epoch: 1, version: 'v', isBlocked: false, output: {} };
  const config = { backpressure: of.backpressure ?? 'reject' };
  const door = { id: 'str_x', row, isOpen: true, queueMs: 10_000, config } as unknown as Door;
  const tally = new Tally();
  const storing = new Storing({
    ledger: { blocked: of.blocked ?? (() => Promise.resolve()) },
    inlets: { of: () => ({ append: of.append }) },
    directory: { byId: () => door },
    reporter: { of: () => tally },
    clock: of.clock ?? systemClock,
  } as never);
  const intake = { id: 'str_x/e', timeMs: 0, parts: [{}] } as unknown as Intake;
  return { tally, deliver: () => storing.store(door, { intake, eventId: 'e', events: null }) };
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

it('what is not durable is to be sent again, and the reason is noted for the user', async () => {
  const { tally, deliver } = storingOf({
    append: () => Promise.reject(new StreamError('log_unavailable', 'Redis is away')),
  });
  expect(await deliver()).toMatchObject({
    ...{ status: 503, reason: 'log_unavailable', headers: { 'retry-after': '1' }, eventId: 'e' },
  });
  expect(tally.held).toBe(0);
});
