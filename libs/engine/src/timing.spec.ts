import { StreamError } from '@planasonix/core';
import { backoffMs } from './backoff.js';
import { SilentLog } from './fakes/index.js';
import { failureOf, failureOfChecks, Failures, verdict } from './failure.js';
import { holds, holdsUntil, LEASE } from './lease.js';

describe('back-off', () => {
  it('grows from 0.2 to 30 s, with full jitter', () => {
    const of = (failures: number, random: number) => backoffMs({ code: 'slot_active' }, failures, random);
    expect(of(1, 0)).toBe(200);
    expect(of(1, 1)).toBe(400);
    expect(of(4, 1)).toBe(3_200);
    expect(of(50, 1)).toBe(30_000);
    expect(of(50, 0)).toBe(200);
    expect(of(50, 0.5)).toBeCloseTo(15_100);
  });

  it('stays below 5 s in an outage, so that the end of it is soon noticed', () => {
    for (const code of ['log_unavailable', 'store_unavailable', 'source_unreachable'])
      expect(backoffMs({ code }, 50, 1)).toBe(5_000);
  });
});

describe('the lease', () => {
  it('is given up before it ends, counted from before it was asked for', () => {
    const until = holdsUntil(1_000);
    expect(until).toBeLessThan(1_000 + LEASE.durationMs);
    expect(holds(until, until - 1)).toBe(true);
    expect(holds(until, until)).toBe(false);
    expect(LEASE.renewEveryMs * 2).toBeLessThan(LEASE.durationMs - LEASE.marginMs);
  });
});

describe('what becomes of a failure', () => {
  const of = (code: ConstructorParameters<typeof StreamError>[0]) =>
    failureOf(new StreamError(code, 'x'), new SilentLog(), 'str');

  it('is patient with what others must bring back, and not for ever with the rest', () => {
    for (const code of ['source_unreachable', 'log_unavailable', 'store_unavailable', 'xa_prepared'] as const)
      expect(verdict(of(code), 10_000)).toBe('retry');
    // Of a start somebody waits to hear what became of it.
    const failures = new Failures();
    const after = (code: Parameters<typeof of>[0], times: number) => {
      for (let i = 0; i < times; i++) failures.note({ ...of(code), ofStart: true }, false);
      return failures.verdict({ ...of(code), ofStart: true });
    };
    // What others had to bring back before does not count.
    expect(after('log_unavailable', 1000)).toBe('retry');
    expect([after('source_unreachable', 7), after('source_unreachable', 1)]).toEqual(['retry', 'error']);
    failures.clear();
    expect(after('source_unreachable', 7)).toBe('retry');
    expect(verdict(of('slot_active'), 20)).toBe('retry');
    expect(verdict(of('slot_active'), 21)).toBe('error');
    expect(verdict(of('auth_failed'), 1)).toBe('error');
    expect(verdict(of('slot_lost'), 1)).toBe('error');
    expect(verdict(of('fenced'), 1)).toBe('fenced');
  });

  it('takes a finding that it does not know for fatal', () => {
    expect(failureOfChecks([{ code: 'of_a_third_party', severity: 'error', message: 'm', fix: null }])).toMatchObject({
      code: 'of_a_third_party',
      recourse: 'fatal',
      hint: null,
    });
    const error = (code: string) => ({ code, severity: 'error', message: code, fix: null }) as const;
    expect(failureOfChecks([error('no_replica_identity'), error('slot_lost'), error('offset_gap')])).toMatchObject({
      ...{ code: 'slot_lost', recourse: 'lost' },
    });
    expect(failureOfChecks([error('no_replica_identity'), error('slot_lost')], { givesUp: true })).toMatchObject({
      code: 'no_replica_identity',
    });
    expect(failureOfChecks([{ code: 'x', severity: 'warning', message: 'm', fix: null }])).toBeNull();
  });
});
