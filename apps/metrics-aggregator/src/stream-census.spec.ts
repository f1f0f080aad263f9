import { eventually } from '@planasonix/testing';
import type { CounterReport } from '@planasonix/core';
import { readReports } from './report-schema.js';
import { StreamCensus } from './stream-census.js';

const report = (of: Partial<CounterReport> = {}): CounterReport => ({
  stream_id: `str_01${'a'.repeat(24)}`,
  source_type: 'postgres_cdc',
  epoch: 1,
  sequence: 1,
  at: 0,
  total_events: 0,
  total_bytes: 0,
  errors: 0,
  rejected_events: 0,
  dropped_events: 0,
  latency: [[3, 1]],
  oldest_pending_at: null,
  lag_proved_at: null,
  last_event_at: null,
  backlog_bytes: null,
  ...of,
});

describe('which reports count (trap 37)', () => {
  it.each([
    ['no list', { stream_id: 'x' }],
    ['a foreign id', [{ ...report(), stream_id: "str_'; DROP" }]],
    ['a negative total', [report({ total_events: -1 })]],
    ['NaN', [report({ total_bytes: Number.NaN })]],
    ['a sequence from the far future', [report({ sequence: 8e15 })]],
    ['a total beyond what a number can hold', [report({ total_events: 2 ** 60 })]],
    ['a field that is missing', [{ ...report(), epoch: undefined }]],
    ['prototypes', [JSON.parse('{"__proto__":{"stream_id":"x"}}')]],
    ['more reports than there can be', Array.from({ length: 10_001 }, () => report())],
    ['a bucket that is none', [report({ latency: [[9999, 1]] })]],
    ['null', null],
  ])('%s is refused', (_what, payload) => {
    expect(readReports(payload).reports).toEqual([]);
  });

  it('takes the well formed ones beside a bad one', () => {
    expect(readReports([report(), 7])).toEqual({ reports: [report()], refused: 1 });
  });

  it('takes the report of a newer worker, without what it does not know', () => {
    expect(readReports([{ ...report(), extra: 1 }]).reports).toEqual([report()]);
  });

  it('admits streams of ours, not foreign ones and not an epoch that has not begun', async () => {
    let [epoch, now] = [2, 1_000_000];
    const asked: string[][] = [];
    const ours = report().stream_id;
    const census = new StreamCensus(
      {
        epochs: (ids) => {
          asked.push([...ids]);
          return Promise.resolve(
            new Map(ids.filter((id) => id === ours).map((id) => [id, { epoch, createdAt: new Date(0) }])),
          );
        },
      },
      () => now,
    );
    const foreign = report({ stream_id: `str_01${'z'.repeat(24)}` });
    expect(await census.admit([report(), report({ epoch: 2 }), report({ epoch: 3 }), foreign])).toEqual([
      report(),
      report({ epoch: 2 }),
    ]);
    const before = asked.length;
    await census.admit([report(), foreign]);
    expect(asked.length).toBe(before);
    epoch = 3;
    now += 500;
    expect(await census.admit([report({ epoch: 3 })])).toHaveLength(1);
    expect(asked.length).toBe(before + 1);
    for (let i = 0; i < 100; i++) await census.admit([report({ epoch: 4 }), foreign]);
    expect(asked.length).toBe(before + 1);
  });

  it('goes on counting what it knows while the store is down', async () => {
    let [up, now, asked] = [true, 0, 0];
    const census = new StreamCensus(
      {
        epochs: (ids) => {
          asked++;
          return up
            ? Promise.resolve(new Map(ids.map((id) => [id, { epoch: 1, createdAt: new Date(7) }])))
            : Promise.reject(new Error('down'));
        },
      },
      () => now,
    );
    await census.admit([report()]);
    expect(census.createdAt(report().stream_id)).toEqual(new Date(7));
    [up, now, asked] = [false, 70_000, 0];
    expect(await census.admit([report({ sequence: 2 })])).toHaveLength(1);
    expect(await census.admit([report({ epoch: 9 })])).toHaveLength(0);
    // One question in two seconds, not one per message: each would wait for a timeout.
    expect(asked).toBe(1);
    [up, now] = [true, 73_000];
    expect(await census.admit([report({ epoch: 9 })])).toHaveLength(0);
    expect(asked).toBe(2);
  });

  it('hears of a new epoch also after the clock was set back an hour', async () => {
    let epoch = 1;
    const census = new StreamCensus({
      epochs: (ids) => Promise.resolve(new Map(ids.map((one) => [one, { epoch, createdAt: new Date(0) }]))),
    });
    const clock = jest.spyOn(Date, 'now').mockReturnValue(Date.now() + 3_600_000);
    expect(await census.admit([report({ epoch: 1 })])).toHaveLength(1);
    clock.mockRestore();
    epoch = 2;
    await eventually('it is heard', async () => (await census.admit([report({ epoch: 2 })])).length === 1);
  });

  it('forgets streams that are gone or silent', async () => {
    let [now, rows] = [0, 3];
    const id = (i: number) => `str_01${String(i).padStart(24, '0')}`;
    const census = new StreamCensus(
      {
        epochs: (ids) =>
          Promise.resolve(new Map(ids.slice(0, rows).map((one) => [one, { epoch: 1, createdAt: new Date(0) }]))),
      },
      () => now,
    );
    await census.admit([1, 2, 3].map((i) => report({ stream_id: id(i) })));
    expect(census.size).toBe(3);
    expect(census.streamsWithin(now - 1)).toEqual([]);
    now = 700_000;
    rows = 1;
    expect(await census.admit([report({ stream_id: id(2) }), report({ stream_id: id(3) })])).toHaveLength(1);
    expect(census.streamsWithin(now - 1).map(([one]) => one)).toEqual([id(2)]);
    expect(census.size).toBe(1);
  });
});
