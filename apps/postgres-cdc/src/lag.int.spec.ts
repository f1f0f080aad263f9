import { eventually } from '@planasonix/testing';
import { settle, sourceUnderTest } from './rows/source-under-test.js';

jest.setTimeout(120_000);

const { fresh, reading } = sourceUnderTest();

describe('the lag of a stream that is behind', () => {
  it('is not said to be proved by how far the server has read its WAL to us', async () => {
    const db = await fresh('CREATE TABLE marks (m text PRIMARY KEY); CREATE TABLE other (id int)');
    const one = reading(db, { tables: ['public.marks'] });
    one.start();
    await one.rowsDone();
    await settle(one, db.client);
    await one.stop();
    for (let i = 0; i < 30; i++) await db.client.query('INSERT INTO other SELECT generate_series(1, 20000)');
    await db.client.query("INSERT INTO marks VALUES ('late')");
    const committedMs = Date.now();
    one.start();
    const samples: { pending: number | null; proved: number | null }[] = [];
    await eventually(
      'the change is there',
      async () => {
        if (!one.connected) return false;
        const { oldestPendingMs: pending, provedAtMs: proved } = await one.lag();
        const came = one.events.some((event) => event.partitionkey.includes('late'));
        if (!came) samples.push({ pending, proved });
        return came;
      },
      { everyMs: 5 },
    );
    expect(samples.length).toBeGreaterThan(0);
    const untrue = samples.filter(({ pending, proved }) => pending === null && (proved ?? 0) > committedMs);
    expect(untrue).toEqual([]);
    await eventually('it is proved once it is caught up', async () => {
      const { oldestPendingMs, provedAtMs, backlogBytes } = await one.lag();
      return oldestPendingMs === null && (provedAtMs ?? 0) > committedMs && backlogBytes === 0;
    });
  });
});
