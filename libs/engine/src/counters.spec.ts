import type { ChangeEvent } from '@planasonix/core';
import { Counters } from './counters.js';

const event = (timeMs: number, order: string | null): ChangeEvent => ({
  ...{ id: `e-${timeMs}`, type: 't', subject: 's', time: new Date(timeMs).toISOString(), timeMs },
  ...{ partitionkey: '', data: Buffer.from('{}'), order },
});

describe('a commit that the source has told to be pending', () => {
  it('is not taken for durable because rows that were read later are; a change of its time or later tells so', () => {
    const counters = new Counters('str_1', 'postgres', 1);
    const appended = { events: 1, bytes: 2, duplicates: 0, totals: { events: 1, bytes: 2 } };
    counters.lagged({ oldestPendingMs: 50, provedAtMs: 40, backlogBytes: 5 });
    counters.durable([event(90, null)], appended, 100);
    expect(counters.report(100, null)).toMatchObject({ oldest_pending_at: 50, last_event_at: 90 });
    counters.durable([event(50, '1')], appended, 101);
    expect(counters.report(102, null)).toMatchObject({ oldest_pending_at: null, last_event_at: 90 });
  });
});
