import { systemClock } from '@planasonix/core';
import { becomes, commit, startKafka, type Kafka } from '@planasonix/testing';
import { committedIds, Logs } from './logs-under-test.js';

const never = new AbortController().signal;
const HOUR_MS = 3_600_000;

describe('what the brokers refuse to write', () => {
  let kafka: Kafka;
  let logs: Logs;
  beforeAll(async () => {
    kafka = await startKafka();
    logs = new Logs(kafka.brokers);
  });
  afterEach(() => logs.close());
  afterAll(() => kafka.stop());

  it('records of a clock that is far ahead are waited with until it is set, and are written once', async () => {
    const id = `str_clock${process.pid}`;
    let aheadMs = 0;
    const log = logs.hasty(1, { ...systemClock, now: () => Date.now() + aheadMs });
    const refused = {
      ...{ code: 'log_unavailable', recourse: 'retry', message: expect.stringContaining('INVALID_TIMESTAMP') },
      hint: expect.stringContaining('Set the clocks of workers and brokers'),
    };
    const sink = logs.sink(log, id, 1);
    await sink.open();
    await sink.append(commit(1, 2), never);
    aheadMs = 2 * HOUR_MS;
    await expect(sink.append(commit(3, 4), never)).rejects.toMatchObject(refused);
    await expect(logs.sink(log, id, 2).open()).rejects.toMatchObject(refused);
    aheadMs = 0;
    const next = logs.sink(log, id, 3);
    expect((await next.open()).positions.get('')).toBe('at-2');
    await next.append(commit(3, 4), never);
    await becomes(() => committedIds(kafka.brokers, `log.${id}`), ['e-1', 'e-2', 'e-3', 'e-4']);
  });
});
