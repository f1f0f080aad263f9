import { readReports } from './report-schema.js';

const old = {
  stream_id: `str_${'0'.repeat(26)}`,
  source_type: 'postgres_cdc',
  ...{ epoch: 1, sequence: 1, at: 1, total_events: 0, total_bytes: 0, errors: 0, rejected_events: 0 },
  ...{ dropped_events: 0, latency: [], oldest_pending_at: null, lag_proved_at: null, last_event_at: null },
  backlog_bytes: null,
};

describe('reports of workers of another version', () => {
  it('are taken without the fields that came later, and with those that come', () => {
    expect(readReports([old])).toEqual({ reports: [old], refused: 0 });
    const kept = { held_bytes: 5, bytes_to_loss: null, seconds_to_loss: 7, budget_bytes: null };
    expect(readReports([{ ...old, ...kept, unheard_of: 1 }])).toEqual({ reports: [{ ...old, ...kept }], refused: 0 });
  });

  it('an amount that can not be is one that is not known', () => {
    expect(readReports([{ ...old, held_bytes: -1, seconds_to_loss: 'soon' }]).reports).toEqual([
      { ...old, held_bytes: null, seconds_to_loss: null },
    ]);
  });
});
