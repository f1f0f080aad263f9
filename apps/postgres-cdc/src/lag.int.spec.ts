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

  it('grows while the stream stands for a table without a key, and is nothing once it has caught up', async () => {
    const db = await fresh(`CREATE TABLE marks (m text PRIMARY KEY);
      CREATE TABLE heap (a int, b text); ALTER TABLE heap REPLICA IDENTITY FULL;
      INSERT INTO heap SELECT i, repeat('x', 500) FROM generate_series(1, 20000) i`);
    const one = reading(db, { tables: ['public.*'], snapshot: 'never' });
    let goOn: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (goOn = resolve));
    one.start({
      beforeEach: ({ events }) => (events.some(({ data }) => data.includes('"op":"r"')) ? gate : undefined),
    });
    await eventually('it reads', () => one.lsn !== '0/0');
    one.orders.push({ id: 'snap_1', tables: ['public.heap'], where: null });
    one.ordersChanged();
    const emptied = () => one.events.some(({ data }) => data.includes('"op":"t"'));
    await eventually('it stands', emptied);
    const since = Date.now();
    await db.client.query("INSERT INTO marks VALUES ('behind')");
    const pending = async () => (await one.lag()).oldestPendingMs;
    // The server is asked each 10 s.
    await eventually('it lags', async () => (await pending()) !== null, { everyMs: 250 });
    const first = await pending();
    expect(first).toBeGreaterThanOrEqual(since);
    const { backlogBytes } = await one.lag();
    await db.client.query("INSERT INTO marks VALUES ('further')");
    await eventually('the server was asked once more', async () => (await one.lag()).backlogBytes! > backlogBytes!, { everyMs: 250 }); // prettier-ignore
    expect(await pending()).toBe(first);
    goOn();
    await one.seen('further');
    await eventually('it has caught up', async () => (await pending()) === null, { everyMs: 250 });
  });
});
