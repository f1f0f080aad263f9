import { register } from 'prom-client';
import { StreamGauges } from './stream-gauges.js';

const values = async (): Promise<string[]> =>
  (await register.metrics()).split('\n').filter((line) => line.startsWith('planasonix_stream_'));
const retention = { held_bytes: 900, bytes_to_loss: 100, seconds_to_loss: 60, budget_bytes: 800, over_budget: true };

it('each stream is shown with what is known of it, and no longer than it reports', async () => {
  const gauges = new StreamGauges();
  const quiet = { events_per_second: 0, lag_seconds: 0, source_retention: null };
  gauges.show([
    ['str_a', { events_per_second: 12.5, lag_seconds: 3, source_retention: retention }],
    ['str_b', quiet],
  ]);
  expect(await values()).toEqual([
    'planasonix_stream_events_per_second{stream_id="str_a"} 12.5',
    'planasonix_stream_events_per_second{stream_id="str_b"} 0',
    'planasonix_stream_lag_seconds{stream_id="str_a"} 3',
    'planasonix_stream_lag_seconds{stream_id="str_b"} 0',
    'planasonix_stream_source_held_bytes{stream_id="str_a"} 900',
    'planasonix_stream_source_bytes_to_loss{stream_id="str_a"} 100',
    'planasonix_stream_source_seconds_to_loss{stream_id="str_a"} 60',
    'planasonix_stream_source_over_budget{stream_id="str_a"} 1',
  ]);
  new StreamGauges().show([['str_b', quiet]]);
  expect((await values()).every((line) => line.includes('str_b'))).toBe(true);
  expect(await values()).toHaveLength(2);
});
