import { systemClock, type CounterReport, type Lag, type Log, type Source, type StreamSpec } from '@planasonix/core';
import { eventually } from '@planasonix/testing';
import fc from 'fast-check';
import { Hosts } from './hosts.js';
import { LagProbe, looksAfter } from './lag-probe.js';
import type { LogBook } from './log-book.js';
import type { Sources } from './sources.js';

const quiet: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const NO_LAG: Lag = { oldestPendingMs: null, provedAtMs: null, backlogBytes: null };

const stream = (id: string, host: string): StreamSpec => ({
  ...{ id, name: id, workspaceId: 'w', sourceType: 'fake', config: {}, output: { type: 'redis_stream' } },
  connection: { id: `conn_${id}`, type: 'postgres', config: { host, port: 5432 } },
  configRevision: 0,
  ...{ status: 'stopped', desired: 'stopped', generation: 1, epoch: 3, owned: {}, onLostPosition: null, givenUpAt: 0 },
});

describe('who looks at a stream that nobody reads', () => {
  it('exactly one of the live workers, whatever their number', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 9 }),
        fc.string(),
        (workers, stream) => {
          expect(workers.filter((worker) => looksAfter(worker, workers, stream))).toHaveLength(1);
        },
      ),
    );
  });

  it('nobody who does not count as live', () => {
    expect(looksAfter('gone', ['a', 'b'], 'str_x')).toBe(false);
  });
});

describe('a round of looking', () => {
  /** A fake of what is around a probe; hosts named `dead` do not answer until `revive`. */
  function world(specs: readonly StreamSpec[]) {
    const reports: CounterReport[] = [];
    let now = 1_700_000_000_000;
    let number = 0;
    let revive = () => {};
    const revived = new Promise<void>((resolve) => (revive = resolve));
    const lag = async (spec: StreamSpec): Promise<Lag> => {
      if (spec.connection?.config['host'] === 'dead') await revived;
      return NO_LAG;
    };
    const probe = new LagProbe({
      workerId: 'w',
      sources: {
        type: { type: 'fake' },
        look: (spec: StreamSpec, use: (source: Source) => Promise<unknown>) =>
          use({ lag: () => lag(spec) } as unknown as Source),
      } as unknown as Sources,
      ledger: {
        resting: () => Promise.resolve(specs.map(({ id }) => id)),
        spec: (id) => Promise.resolve(specs.find((one) => one.id === id)!),
        positions: () => Promise.resolve(new Map()),
        probeNumber: () => Promise.resolve(++number),
      },
      workers: { liveIds: () => Promise.resolve(['w']) },
      logs: { of: () => ({ totals: () => Promise.resolve({ events: 1, bytes: 1 }) }) } as unknown as LogBook,
      report: (some) => void reports.push(...some),
      budgets: { giveUp: () => Promise.resolve() },
      clock: { ...systemClock, now: () => now },
      log: quiet,
    });
    return { probe, reports, revive, jump: (ms: number) => (now += ms) };
  }

  it('reports on the streams of other hosts while one host does not answer', async () => {
    const dead = Array.from({ length: 9 }, (_, i) => stream(`str_dead_${i}`, 'dead'));
    const { probe, reports, revive } = world([stream('str_a', 'alive'), ...dead, stream('str_b', 'alive')]);
    const round = probe.round();
    await eventually('the others are reported', () => reports.length === 2);
    expect(reports.map((one) => one.stream_id).sort()).toEqual(['str_a', 'str_b']);
    revive();
    await round;
    expect(reports).toHaveLength(11);
  });

  it('has numbers that grow while the clock jumps back', async () => {
    const { probe, reports, jump } = world([stream('str_a', 'alive')]);
    await probe.round();
    jump(-3_600_000);
    await probe.round();
    expect(reports[1]!.sequence).toBeGreaterThan(reports[0]!.sequence);
  });

  it('gives up a host that is late, asks it last the next time, and goes on where it left off', async () => {
    const hosts = new Hosts({ hosts: 1, perHost: 1, withinMs: 20, beginMs: 1_000 }, systemClock);
    const specs = [stream('str_1', 'dead'), stream('str_2', 'dead'), stream('str_3', 'alive')];
    const seen: string[] = [];
    const visit = (spec: StreamSpec): Promise<void> => {
      seen.push(spec.id);
      return spec.connection?.config['host'] === 'dead' ? new Promise(() => undefined) : Promise.resolve();
    };
    await hosts.round(specs, visit);
    await hosts.round(specs, visit);
    expect(seen).toEqual(['str_1', 'str_3', 'str_3', 'str_2']);
  });
});
