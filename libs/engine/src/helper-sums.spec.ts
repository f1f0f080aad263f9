import type { CounterReport, HelperRow } from '@planasonix/core';
import { Counters } from './counters.js';
import { HelperSums } from './helper-sums.js';

function helper(sequence: number, events: number, errors = 0, session = 's-1'): HelperRow {
  const own = new Counters('str_1', 'fake', 1);
  own.opened({ events: 0, bytes: 0 });
  const counters: CounterReport = { ...own.report(0, null)!, sequence, total_events: events, errors };
  return { workerId: 'a', seat: { index: 1, session: 's-1' }, report: { session, counters, blocked: null } };
}

describe('sums of those who help', () => {
  let lead: Counters;
  let sums: HelperSums;
  beforeEach(() => {
    lead = new Counters('str_1', 'fake', 1);
    lead.opened({ events: 100, bytes: 0 });
    sums = new HelperSums();
    sums.seated('s-1', ['a'], 0);
  });
  const report = () => sums.add(lead.report(0, null)!, lead);

  it('keep the newest of the reports of one helper, whichever lands last', () => {
    sums.told([helper(7, 50, 3)]);
    sums.told([helper(6, 40, 2)]);
    expect(report()).toMatchObject({ total_events: 150, errors: 3 });
  });

  it('count nothing that is told of another seat: it is in the totals of the log by now', () => {
    sums.told([helper(9, 70, 4, 's-0')]);
    expect(report()).toMatchObject({ total_events: 100, errors: 0 });
    sums.told([helper(1, 20, 1)]);
    sums.told([helper(9, 70, 4, 's-0')]);
    expect(report()).toMatchObject({ total_events: 120, errors: 1 });
  });

  it('count nothing twice when the same seats are given again', () => {
    sums.told([helper(7, 50, 3)]);
    sums.seated('s-1', ['a'], 1);
    sums.told([helper(8, 60, 3)]);
    expect(report()).toMatchObject({ total_events: 160, errors: 3 });
  });
});
