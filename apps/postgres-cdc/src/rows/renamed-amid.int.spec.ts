import { eventually } from '@planasonix/testing';
import type { TrialStream } from '../trial/trial-stream.js';
import { NOTEBOOK } from './rows-state.js';
import { expectEqual, settle, sourceUnderTest, type Database } from './source-under-test.js';

jest.setTimeout(180_000);

const { fresh, reading } = sourceUnderTest();

/** Two chunks each. */
const ROWS = 30_000;
const table = (name: string): string =>
  `CREATE TABLE ${name} (id int PRIMARY KEY, v text); INSERT INTO ${name} SELECT i, '${name}' FROM generate_series(1, ${ROWS}) i; ANALYZE ${name};`;
const SETUP = `CREATE TABLE marks (m text PRIMARY KEY); ${table('orders')}`;
const EXACT = { tables: ['public.orders', 'public.marks'] };
const ALL = { tables: ['public.*'] };
const SLOW = { snapshot_readers: 2, snapshot_max_rows_per_second: 20_000 };

const rowsOf = (one: TrialStream, subject: string): number =>
  one.events.filter((event) => event.subject === subject && event.partitionkey !== '').length;
/** Some of its rows have come, and not all. */
const halfway = (one: TrialStream, ...subjects: string[]) =>
  eventually('some of the rows are in', () => subjects.every((subject) => rowsOf(one, subject) > 0), { everyMs: 5 });
const forgotten = (one: TrialStream, subject: string): boolean =>
  one.events.some((event) => event.subject === subject && event.data.includes('"op":"t"'));
const subjects = (one: TrialStream): string[] => [...new Set(one.events.map(({ subject }) => subject))].sort();
const noted = (one: TrialStream): string => one.positions.get(NOTEBOOK) ?? '';
/** The notebook has a name that its table does not have any more with a minus. */
const isGone = (one: TrialStream, name: string): boolean => noted(one).includes(`"${name}":-`);

/** Once the stream has met that the table is called otherwise: nobody reads it any more. */
const met = (one: TrialStream, name: string) =>
  eventually(
    `${name} is met under another name`,
    () => one.progress()?.tables?.some(({ table: of, state }) => of === name && state === 'cancelled'),
    { everyMs: 20 },
  );

async function begun(config: object, setup = SETUP, of = ['public.orders']): Promise<[Database, TrialStream]> {
  const db = await fresh(setup);
  const one = reading(db, { ...SLOW, ...config });
  one.start();
  await halfway(one, ...of);
  return [db, one];
}

async function restart(one: TrialStream): Promise<void> {
  await one.stop();
  one.start();
}

describe('a table that gets another name amid its snapshot (Invariant 2)', () => {
  it.each([
    ['', EXACT, 'ALTER TABLE orders RENAME TO orders_tmp', 'ALTER TABLE orders_tmp RENAME TO orders'],
    ['', ALL, 'ALTER TABLE orders RENAME TO orders_tmp', 'ALTER TABLE orders_tmp RENAME TO orders'],
    ['; over a restart', EXACT, 'ALTER TABLE orders RENAME TO orders_tmp', 'ALTER TABLE orders_tmp RENAME TO orders'],
    ['', EXACT, 'CREATE SCHEMA away; ALTER TABLE orders SET SCHEMA away', 'ALTER TABLE away.orders SET SCHEMA public'],
    [
      '',
      EXACT,
      'ALTER SCHEMA public RENAME TO away; CREATE SCHEMA public; ALTER TABLE away.marks SET SCHEMA public',
      'ALTER TABLE away.orders SET SCHEMA public',
    ],
  ])('away and back%s: its rows are read anew (%j, %s)', async (how, config, away, back) => {
    const [db, one] = await begun(config);
    await db.client.query(away);
    await met(one, 'public.orders');
    if (how !== '') {
      // What is not noted when it ends is read from its beginning, and nobody has to forget it.
      await eventually('it is noted', () => isGone(one, 'public.orders'));
      await one.stop();
    }
    await db.client.query(back);
    if (how !== '') one.start();
    else one.ordersChanged();
    await eventually('readers forget it', () => forgotten(one, 'public.orders'));
    await one.rowsDone();
    await settle(one, db.client);
    await expectEqual(one, db.client, 'public.orders', "'id', id");
    if (config === EXACT) expect(subjects(one)).toEqual(['public.marks', 'public.orders']);
  });

  it('one that was taken late, onto a name that is excluded and back', async () => {
    const db = await fresh('CREATE TABLE marks (m text PRIMARY KEY)');
    const one = reading(db, { ...SLOW, ...ALL, exclude_tables: ['public.secret'] });
    one.start();
    await one.rowsDone();
    await db.client.query(table('orders'));
    one.ordersChanged();
    await halfway(one, 'public.orders');
    await db.client.query('ALTER TABLE orders RENAME TO secret');
    await met(one, 'public.orders');
    await db.client.query('ALTER TABLE secret RENAME TO orders');
    one.ordersChanged();
    await eventually('readers forget it', () => forgotten(one, 'public.orders'));
    await one.rowsDone();
    await settle(one, db.client);
    await expectEqual(one, db.client, 'public.orders', "'id', id");
    expect(subjects(one)).toEqual(['public.marks', 'public.orders']);
  });

  it.each([
    ['an asked one', false],
    ['an asked one', true],
    ['an excluded one', false],
    ['an excluded one', true],
  ])('to %s and not back (restarted: %s): it comes under that, or not at all', async (to, restarts) => {
    const [db, one] = await begun({ ...ALL, ...(to === 'an asked one' ? {} : { exclude_tables: ['public.secret'] }) });
    if (restarts) await one.stop();
    await db.client.query('ALTER TABLE orders RENAME TO secret');
    if (restarts) one.start();
    const isOut = restarts && to === 'an excluded one';
    // What is not asked for when the stream begins is not gone on with.
    if (isOut) await eventually('nobody reads it any more', () => isGone(one, 'public.orders'));
    else await met(one, 'public.orders');
    if (to === 'an asked one') await eventually('it is noted', () => noted(one).includes('"public.secret"'));
    if (!isOut) await one.rowsDone();
    await settle(one, db.client);
    if (to === 'an asked one') await expectEqual(one, db.client, 'public.secret', "'id', id");
    else expect(subjects(one)).toEqual(['public.marks', 'public.orders']);
  });

  it.each([false, true])(
    'one that is dropped and made anew (restarted: %s): nothing of the old one stays',
    async (restarts) => {
      const [db, one] = await begun(ALL);
      await db.client.query('DROP TABLE orders');
      await met(one, 'public.orders');
      await settle(one, db.client);
      if (restarts) await one.stop();
      await db.client.query("CREATE TABLE orders (id int PRIMARY KEY, v text); INSERT INTO orders VALUES (1, 'anew')");
      if (restarts) one.start();
      else one.ordersChanged();
      await one.seen('anew');
      await one.rowsDone();
      await settle(one, db.client);
      await expectEqual(one, db.client, 'public.orders', "'id', id");
    },
  );

  it('one that waits for its turn, and is dropped and made anew while the stream is stopped', async () => {
    const bills = 'CREATE TABLE bills (id int PRIMARY KEY, v text); INSERT INTO bills VALUES';
    const db = await fresh(`${SETUP}; ${bills} (1, 'old')`);
    const slow = { ...ALL, snapshot_readers: 1, snapshot_max_rows_per_second: 1000 };
    const one = reading(db, slow);
    one.start();
    await halfway(one, 'public.orders');
    await db.client.query("UPDATE bills SET v = 'older'");
    await one.seen('older');
    await one.stop();
    await db.client.query(`DROP TABLE bills; ${bills} (2, 'anew')`);
    one.configure({ heartbeat_interval: '200ms', ...ALL });
    one.start();
    await one.rowsDone();
    await settle(one, db.client);
    await expectEqual(one, db.client, 'public.bills', "'id', id");
  });

  const SWAP = 'BEGIN; ALTER TABLE orders RENAME TO x; ALTER TABLE bills RENAME TO orders; ALTER TABLE x RENAME TO bills; COMMIT'; // prettier-ignore

  it.each([
    ['initial', false],
    ['initial', true],
    ['only', false],
    ['only', true],
  ])('two swap their names amid both their snapshots (%s, restarted: %s)', async (snapshot, restarts) => {
    const [db, one] = await begun({ ...ALL, snapshot }, `${SETUP} ${table('bills')}`, [
      'public.orders',
      'public.bills',
    ]);
    if (restarts) await one.stop();
    await db.client.query(SWAP);
    if (restarts) one.start();
    const both = () => forgotten(one, 'public.orders') && forgotten(one, 'public.bills');
    await eventually('readers forget both', both, { timeoutMs: 60_000 });
    if (snapshot === 'only') await one.outcome();
    else {
      await one.rowsDone();
      await settle(one, db.client);
    }
    await expectEqual(one, db.client, 'public.orders', "'id', id");
    await expectEqual(one, db.client, 'public.bills', "'id', id");
  });

  it.each(['public.secret', 'public.bills'])(
    'rows alone, onto %s: nothing comes under what is excluded',
    async (to) => {
      const [db, one] = await begun({ ...ALL, snapshot: 'only', exclude_tables: ['public.secret'] });
      await db.client.query(`ALTER TABLE orders RENAME TO ${to.slice(7)}`);
      expect(await one.outcome()).toBeNull();
      expect(one.progress()?.tables).toContainEqual(
        expect.objectContaining({
          table: 'public.orders',
          state: 'cancelled',
          note: expect.stringMatching('renamed') as string,
        }),
      );
      if (to === 'public.bills') await expectEqual(one, db.client, 'public.bills', "'id', id");
      expect(subjects(one)).toEqual([...(to === 'public.bills' ? [to] : []), 'public.orders']);
    },
  );

  it('an order fails with the reason, and no row comes under the other name', async () => {
    const db = await fresh(SETUP);
    const one = reading(db, { ...SLOW, ...EXACT, snapshot: 'never' });
    one.start();
    await eventually('it reads', () => one.connected && one.positions.size > 1);
    await settle(one, db.client);
    one.orders.push({ id: 'snap_1', tables: ['public.orders'], where: null });
    one.ordersChanged();
    await halfway(one, 'public.orders');
    await db.client.query('ALTER TABLE orders RENAME TO orders_tmp');
    await eventually('it is over', () => one.closed.length > 0);
    expect(one.closed).toEqual([
      { id: 'snap_1', failed: 'public.orders was renamed before all of its rows were read.' },
    ]);
    await db.client.query('ALTER TABLE orders_tmp RENAME TO orders');
    await settle(one, db.client);
    await restart(one);
    await settle(one, db.client);
    expect([one.failure, subjects(one)]).toEqual([null, ['public.marks', 'public.orders']]);
  });
});
