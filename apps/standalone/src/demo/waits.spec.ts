import { Waits } from './waits.js';

describe('Waits', () => {
  it('counts changes that had to wait for the snapshot by themselves', () => {
    const waits = new Waits();
    waits.add(1000, { snapshot: true, ts_ms: 500 });
    waits.add(1001, { snapshot: false, ts_ms: 600 });
    for (let i = 1; i <= 100; i++) waits.add(2000 + i, { snapshot: false, ts_ms: 2000 });
    expect(waits.summary()).toBe(
      'commit to durable p50 50 ms, p99 99 ms over 100 changes (1 made during the snapshot waited for it, up to 401 ms)',
    );
  });

  it('says when there is nothing to tell', () => {
    expect(new Waits().summary()).toBe('no change after the snapshot');
  });
});
