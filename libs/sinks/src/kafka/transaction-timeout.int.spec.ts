import { becomes, commit, startKafka } from '@planasonix/testing';
import { committedIds, Logs } from './logs-under-test.js';

const never = new AbortController().signal;

describe('brokers that allow transactions less time than ours have (transaction.max.timeout.ms)', () => {
  const ends: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
  });

  async function logsOver(maxMs: number): Promise<Logs> {
    const kafka = await startKafka({ properties: { 'transaction.max.timeout.ms': String(maxMs) } });
    ends.push(() => kafka.stop());
    const logs = new Logs(kafka.brokers);
    ends.push(() => logs.close());
    return logs;
  }

  it('a minute is enough', async () => {
    const logs = await logsOver(60_000);
    const id = `str_minute${process.pid}`;
    const sink = logs.sink(logs.open(), id, 1);
    await sink.open();
    await sink.append(commit(1, 3), never);
    await becomes(() => committedIds(logs.brokers, `log.${id}`), ['e-1', 'e-2', 'e-3']);
  });

  it('half a minute is not, and who sets it is told', async () => {
    const logs = await logsOver(30_000);
    await expect(logs.sink(logs.open(), `str_half${process.pid}`, 1).open()).rejects.toMatchObject({
      ...{ code: 'config_invalid', recourse: 'fatal' },
      message: expect.stringContaining('INVALID_TRANSACTION_TIMEOUT'),
      hint: expect.stringContaining('transaction.max.timeout.ms of the brokers to 60000'),
    });
  });
});
