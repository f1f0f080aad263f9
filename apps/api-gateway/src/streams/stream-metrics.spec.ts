import type { Stream } from '@planasonix/store';
import { StreamMetrics } from './stream-metrics.js';

it('what a source kept for a stream is not told once its place is lost', async () => {
  const kept = { held_bytes: 248, bytes_to_loss: null, seconds_to_loss: null, budget_bytes: null, over_budget: false };
  const seen = { lag_seconds: 1, source_retention: kept };
  const metrics = new StreamMetrics(
    { window: () => Promise.resolve(seen as never), eventsPerMinute: () => Promise.resolve(0) },
    { get: () => Promise.resolve(null), eventsPerSecond: () => Promise.resolve(0) },
    { ids: () => Promise.resolve([]) },
  );
  const of = (status: string, code: string | null) =>
    metrics.window({ id: 'str_1', status, last_error: code && { code } } as unknown as Stream, '1m');
  expect(await of('error', 'slot_lost')).toMatchObject({ lag_seconds: 1, source_retention: null });
  // Whoever could not log in holds it all the same; nor is it lost to one that runs again.
  expect(await of('error', 'auth_failed')).toMatchObject(seen);
  expect(await of('running', 'slot_lost')).toMatchObject(seen);
  expect(await of('running', null)).toMatchObject(seen);
});
