import { systemClock, type Intake } from '@planasonix/core';
import type { Door } from './door.js';
import { Storing } from './storing.js';
import { Tally } from './tally.js';

it('that there is no room is told to the store again, where it did not hear of it', async () => {
  const told: (string | null)[] = [];
  let away = true;
  const ledger = {
    blocked: (_held: unknown, why: string | null) => {
      told.push(why);
      return away ? Promise.reject(new Error('the store is away')) : Promise.resolve();
    },
  };
  const row = { epoch: 1, version: 'v', isBlocked: false, output: {} };
  const door = { id: 'str_x', row, isOpen: true, config: { backpressure: 'reject' } } as unknown as Door;
  const inlets = { of: () => ({ append: () => Promise.resolve({ kind: 'full' }) }) };
  const [directory, reporter] = [{ byId: () => door }, { of: () => new Tally() }];
  const storing = new Storing({ ledger, inlets, directory, reporter, clock: systemClock } as never);
  const deliver = () =>
    storing.store(door, { intake: { timeMs: 0, parts: [] } as unknown as Intake, eventId: null, events: null });
  expect((await deliver()).status).toBe(429);
  away = false;
  await deliver();
  await deliver();
  expect(told).toEqual(['log_full', 'log_full']);
});
