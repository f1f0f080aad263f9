import type { PipelineOutput } from '@planasonix/core';
import { EventLogs } from './event-logs.js';

/** Nothing is dialled before a log is asked. */
const logs = () => new EventLogs({ redisUrl: 'redis://127.0.0.1:1' });
const output = (n: number): PipelineOutput => ({
  type: 'redis_stream',
  retention: { max_entries: n, on_full: 'block' },
});

describe('the logs that the gateway has open', () => {
  it('are those that were used last, each kind once (Invariant 6)', async () => {
    const open = logs();
    const first = open.of(output(1));
    const second = open.of(output(2));
    for (let n = 3; n <= 50; n++) open.of(output(n));
    expect(open.of(output(1))).toBe(first);
    open.of(output(51));
    expect(open.of(output(1))).toBe(first);
    expect(open.of(output(2))).not.toBe(second);
    await open.close();
  });

  it('are closed when nobody can be using them any more, a live tail of an hour neither', async () => {
    jest.useFakeTimers();
    const open = logs();
    const close = jest.spyOn(open.of(output(1)), 'close');
    for (let n = 2; n <= 51; n++) open.of(output(n));
    await jest.advanceTimersByTimeAsync(60 * 60_000);
    expect(close).not.toHaveBeenCalled();
    await jest.advanceTimersByTimeAsync(60_000);
    expect(close).toHaveBeenCalledTimes(1);
    jest.useRealTimers();
    await open.close();
  });
});
