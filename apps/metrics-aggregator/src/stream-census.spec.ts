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
    ['an unknown field', [{ ...report(), extra: 1 }]],
    ['a bucket that is none', [report({ latency: [[9999, 1]] })]],
    ['null', null],
  ])('%s is refused', (_what, payload) => {
    expect(readReports(payload).reports).toEqual([]);
  });

  it('takes the well formed ones beside a bad one', () => {
    expect(readReports([report(), 7])).toEqual({ reports: [report()], refused: 1 });
  });

  it('admits streams of ours, not foreign ones and not an epoch that has not begun', async () => {
    let epoch = 2;
    const asked: string[][] = [];
    const ours = report().stream_id;
    const census = new StreamCensus({
      epochs: (ids) => {
        asked.push([...ids]);
        return Promise.resolve(
          new Map(ids.filter((id) => id === ours).map((id) => [id, { epoch, createdAt: new Date(0) }])),
        );
      },
    });
    const foreign = report({ stream_id: `str_01${'z'.repeat(24)}` });
    expect(await census.admit([report(), report({ epoch: 2 }), report({ epoch: 3 }), foreign])).toEqual([
      report(),
      report({ epoch: 2 }),
    ]);
    const before = asked.length;
    await census.admit([report(), foreign]);
    expect(asked.length).toBe(before);
    epoch = 3;
    expect(await census.admit([report({ epoch: 3 })])).toHaveLength(1);
  });

  it('goes on counting what it knows while the store is down', async () => {
    let up = true;
    const census = new StreamCensus({
      epochs: (ids) =>
        up
          ? Promise.resolve(new Map(ids.map((id) => [id, { epoch: 1, createdAt: new Date(0) }])))
          : Promise.reject(new Error('down')),
    });
    await census.admit([report()]);
    up = false;
    expect(await census.admit([report({ sequence: 2 })])).toHaveLength(1);
    expect(await census.admit([report({ epoch: 9 })])).toHaveLength(0);
  });
});
