import { StreamError, type Clock, type Log } from '@planasonix/core';
import type { WalBudget } from './config.js';
import { AnotherServer } from './instance.js';
import { SlotCare, gigabytes, retention, type SlotFacts } from './slot-care.js';
import { WalRate } from './wal-rate.js';
import type { Client } from 'pg';

const facts: SlotFacts = {
  head: 10_000n,
  flushed: 10_000n,
  restart: 4_000n,
  safeBytes: null,
  lost: false,
  lostBy: null,
  active: true,
  ending: false,
  idleMs: null,
  idleLimitMs: null,
};

describe('the rate at which WAL grows', () => {
  it('is that of the last two minutes, and unknown from one look', () => {
    const rate = new WalRate();
    rate.note(1000n, 0);
    expect(rate.bytesPerSecond).toBeNull();
    rate.note(1000n, 0);
    expect(rate.bytesPerSecond).toBeNull();
    rate.note(11_000n, 10_000);
    expect(rate.bytesPerSecond).toBe(1000);
    for (let s = 20; s <= 400; s += 10) rate.note(11_000n, s * 1000);
    expect(rate.bytesPerSecond).toBe(0);
  });

  it('keeps two looks, however far apart, and starts over where the head went back', () => {
    const rate = new WalRate();
    rate.note(0n, 0);
    rate.note(3600n, 3_600_000);
    expect(rate.bytesPerSecond).toBe(1);
    rate.note(5n, 3_610_000);
    expect(rate.bytesPerSecond).toBeNull();
  });
});

describe('what a slot holds back, and until when (trap 9)', () => {
  const of = (more: Partial<SlotFacts>, rate: number | null = null) => retention({ ...facts, ...more }, rate, 77);

  it('without a limit there is no end to it', () => {
    expect(of({}, 100)).toEqual({ heldBytes: 6000, bytesToLoss: null, secondsToLoss: null, budgetBytes: 77 });
  });

  it('with max_slot_wal_keep_size: by the rate of late; nothing is promised where nothing grows', () => {
    expect(of({ safeBytes: 5000 }, 100)).toMatchObject({ bytesToLoss: 5000, secondsToLoss: 50 });
    for (const rate of [null, 0]) expect(of({ safeBytes: 5000 }, rate).secondsToLoss).toBeNull();
    expect(of({ safeBytes: -8 }, null)).toMatchObject({ bytesToLoss: 0, secondsToLoss: 0 });
  });

  it('with idle_replication_slot_timeout: by the time without a reader, and never while it is read', () => {
    const idle = { active: false, idleMs: 20_000, idleLimitMs: 60_000 };
    expect(of(idle).secondsToLoss).toBe(40);
    expect(of({ ...idle, safeBytes: 5000 }, 1000).secondsToLoss).toBe(5);
    expect(of({ ...idle, safeBytes: 5000 }, 10).secondsToLoss).toBe(40);
    expect(of({ ...idle, idleMs: 99_000 }).secondsToLoss).toBe(0);
    expect(of({ ...idle, active: true }).secondsToLoss).toBeNull();
  });

  it('a slot that was invalidated holds nothing any more', () => {
    expect(of({ lost: true })).toMatchObject({ heldBytes: 0, bytesToLoss: 0, secondsToLoss: 0 });
    expect(of({ restart: null }).heldBytes).toBe(0);
    expect(of({ restart: 10_001n }).heldBytes).toBe(0);
  });
});

describe('care for a slot', () => {
  let now = 0;
  const clock = { monotonic: () => now, now: () => now } as unknown as Clock;
  const warnings: object[] = [];
  const log = { warn: (fields: object) => warnings.push(fields) } as unknown as Log;
  const control = () => Promise.resolve({} as Client);
  let looks = 0;
  let held = 0;
  let answers = true;
  const asked = (): Promise<SlotFacts> => {
    looks++;
    return answers ? Promise.resolve({ ...facts, restart: 0n, head: BigInt(held) }) : Promise.reject(new Error('gone'));
  };
  const care = (budget: WalBudget | null, ours = true, streamId = 'str_1', begun = true) =>
    new SlotCare({
      streamId,
      slot: 's',
      budget,
      control,
      facts: asked,
      ours: () => Promise.resolve(ours),
      begun,
      standing: () => null,
      clock,
      log,
    });
  const bytes = 1 << 20;

  it('looks each 10 s at the most, and not at all by itself', async () => {
    const one = care(null);
    for (; now <= 25_000; now += 1000) await one.watch(false);
    expect(looks).toBe(3);
    const lag = { oldestPendingMs: 1, provedAtMs: 2, backlogBytes: 3 };
    expect(one.along(lag)).toEqual({ ...lag, retention: expect.objectContaining({ heldBytes: 0 }) });
    one.begin();
    expect(one.along(lag)).toEqual(lag);
  });

  it('warns once per crossing, also where each look has a source of its own', async () => {
    for (const size of [bytes, bytes + 1, bytes * 2, bytes, 10, bytes * 3]) {
      held = size;
      const one = care({ bytes, on_exceeded: 'warn' }, true, 'str_2');
      await one.watch(false);
      expect(one.overBudget).toBe(size > bytes);
    }
    expect(warnings).toHaveLength(2);
    expect(warnings[0]).toEqual({ streamId: 'str_2', slot: 's', heldBytes: bytes + 1, budgetBytes: bytes });
  });

  it('gives up a slot of ours over its budget, and never anybody else’s', async () => {
    held = bytes * 2;
    const ours = care({ bytes, on_exceeded: 'release' });
    await expect(ours.watch(false)).rejects.toMatchObject({ code: 'wal_budget_exceeded', recourse: 'lost' });
    const theirs = care({ bytes, on_exceeded: 'release' }, false);
    await theirs.watch(false);
    expect([theirs.overBudget, theirs.toBeGivenUp]).toEqual([true, false]);
  });

  it('asks whose the slot is where its facts are of, and gives nothing up while nobody can say (trap 6)', async () => {
    held = bytes * 2;
    const [asked, told] = [[] as Client[], [] as Client[]];
    let says = true;
    const one = new SlotCare({
      ...{ streamId: 'str_4', slot: 's', budget: { bytes, on_exceeded: 'release' }, begun: true, clock, log, control },
      facts: (client) => {
        asked.push(client);
        return Promise.resolve({ ...facts, restart: 0n, head: BigInt(held) });
      },
      ours: (client) => {
        told.push(client);
        return says ? Promise.resolve(true) : Promise.reject(new AnotherServer());
      },
      standing: () => null,
    });
    await one.look();
    expect(one.toBeGivenUp).toBe(true);
    [now, says] = [now + 60_000, false];
    await one.watch(false);
    expect([one.overBudget, one.toBeGivenUp]).toEqual([true, false]);
    expect(new Set(asked).size).toBe(2);
    expect(told).toEqual(asked);
    expect(told.every((client, i) => client === asked[i])).toBe(true);
  });

  it('while rows flow nobody waits for the answer; the next one who asks is told', async () => {
    const one = care({ bytes, on_exceeded: 'release' });
    await one.watch(true);
    // The server has answered, and it is known whose the slot is.
    await new Promise((resolve) => setImmediate(resolve));
    await expect(one.watch(true)).rejects.toMatchObject({ code: 'wal_budget_exceeded' });
  });

  it('what was given up already bars nothing until the new slot is settled', async () => {
    const one = care({ bytes, on_exceeded: 'release' }, true, 'str_3', false);
    await one.watch(false);
    expect(one.toBeGivenUp).toBe(true);
    one.begin();
    expect(one.toBeGivenUp).toBe(false);
    await expect(one.watch(false)).rejects.toMatchObject({ code: 'wal_budget_exceeded' });
  });

  it("has a reader that stands hang up on a server that ends its walsender, shuts down or can't be asked any more, and no other", async () => {
    const hungUp: unknown[] = [];
    const standing = { hangUp: (why?: StreamError) => void hungUp.push(why) };
    const of = (reader: typeof standing | null, facts: () => Promise<SlotFacts>) =>
      new SlotCare({ streamId: 's', slot: 's', budget: null, control, facts, ours: () => Promise.resolve(true), begun: true, standing: () => reader, clock, log }); // prettier-ignore
    const ended = (ending: boolean) => () => Promise.resolve({ ...facts, ending });
    const refused = (code: string) => () =>
      Promise.reject(new StreamError('source_unreachable', 'refused', { cause: Object.assign(new Error(), { code }) }));
    const elsewhere = new AnotherServer();
    const cases = [
      ...[ended(true), ended(false), refused('57P01'), refused('57P03'), refused('53300')],
      () => Promise.reject(elsewhere),
    ];
    const seen = [];
    for (const answer of cases) {
      await of(null, answer).look();
      await of(standing, answer).look();
      seen.push(hungUp.length);
    }
    // One who ends our session alone does not shut down.
    expect(seen).toEqual([1, 1, 1, 2, 2, 3]);
    expect(hungUp).toEqual([undefined, undefined, elsewhere]);
  });

  it('tells a reader that stands that its slot is gone or lost, and nobody else', async () => {
    const gone = [
      [null, /is gone/],
      [{ ...facts, lost: true, lostBy: 'idle_timeout' }, /\(idle_timeout\)/],
    ] as const;
    for (const [answer, message] of gone) {
      let stands = true;
      const standing = () => (stands ? { hangUp: () => undefined } : null);
      const one = new SlotCare({ streamId: 's', slot: 's', budget: null, control, facts: () => Promise.resolve(answer), ours: () => Promise.resolve(true), begun: true, standing, clock, log }); // prettier-ignore
      await one.watch(false);
      await expect(one.watch(true)).rejects.toMatchObject({
        code: 'slot_lost',
        message: expect.stringMatching(message) as string,
      });
      // Whoever reads hears of it himself: another server may have answered.
      stands = false;
      await one.watch(true);
    }
  });

  it('a server that does not answer changes nothing', async () => {
    const one = care({ bytes, on_exceeded: 'warn' });
    await one.watch(false);
    now += 60_000;
    answers = false;
    await one.watch(false);
    expect(one.overBudget).toBe(true);
  });
});

it('sizes are told as Postgres counts them', () => {
  expect([gigabytes(1 << 20), gigabytes(10 * 2 ** 30)]).toEqual(['1.0 MB', '10.0 GB']);
});
