import { ROW_EVENT_TYPES } from '@planasonix/core';
import { eventually } from '@planasonix/testing';
import type { TrialStream } from '../trial/trial-stream.js';
import { NOTEBOOK } from './rows-state.js';
import { expectEqual, settle, sourceUnderTest } from './source-under-test.js';

jest.setTimeout(180_000);

const { fresh, reading } = sourceUnderTest();

const ORDERS = `CREATE TABLE marks (m text PRIMARY KEY);
  CREATE TABLE orders (id int PRIMARY KEY, v text); INSERT INTO orders SELECT i, 'first' FROM generate_series(1, 100) i`;
const EXACT = { tables: ['public.orders', 'public.marks'] };

/** Rows of it, as it was changed under another name, have come under its own. */
const rereads = (one: TrialStream): boolean =>
  one.events.some(({ subject, data }) => subject === 'public.orders' && data.includes('"changed"'));

describe('a table that is called otherwise for a while (Invariant 2)', () => {
  const away = (v: string) => `ALTER TABLE orders RENAME TO orders_tmp;
    UPDATE orders_tmp SET v = '${v}' WHERE id <= 50; DELETE FROM orders_tmp WHERE id > 90`;
  const BACK = 'ALTER TABLE orders_tmp RENAME TO orders';

  it.each([
    ['runs', EXACT],
    ['runs', { tables: ['public.*'] }],
    ['is stopped', EXACT],
    ['is stopped', { tables: ['public.*'] }],
    ['is stopped while it has the other name', { tables: ['public.*'] }],
    ['is killed before it has noted that', EXACT],
  ])('while the stream %s (%j): its rows are read anew under its name', async (how, config) => {
    const db = await fresh(ORDERS);
    const one = reading(db, config);
    let notes = false;
    one.start({
      beforeEach: (batch) => {
        if (notes && batch.partition === NOTEBOOK) throw new Error('killed');
      },
    });
    await one.rowsDone();
    await settle(one, db.client);
    if (how === 'is stopped') await one.stop();
    if (how.startsWith('is killed')) notes = true;
    // Behind more than is decoded at once: it is met amid a transaction, in which nothing can be noted.
    const large = "INSERT INTO marks SELECT 'm' || i FROM generate_series(1, 15000) i";
    await db.client.query(`${how.startsWith('is killed') ? large : ''}; ${away('changed')}`);
    if (how === 'is stopped while it has the other name') {
      await settle(one, db.client);
      await one.stop();
    } else if (how === 'runs') await settle(one, db.client);
    else await one.outcome();
    await db.client.query(BACK);
    if (how !== 'runs') one.start();
    await eventually('it is read anew', () => rereads(one));
    await one.rowsDone();
    await settle(one, db.client);
    await expectEqual(one, db.client, 'public.orders', "'id', id");
    if (config === EXACT) expect(one.events.some(({ subject }) => subject === 'public.orders_tmp')).toBe(false);
  });

  it('long enough to be read under the other name: what was deleted meanwhile is gone under its own', async () => {
    const db = await fresh(ORDERS);
    const one = reading(db, { tables: ['public.*'] });
    one.start();
    await one.rowsDone();
    await db.client.query(away('changed'));
    one.ordersChanged();
    await eventually('it is read', () => one.fold().get('public.orders_tmp {"id":60}')?.['v'] === 'first');
    await one.rowsDone();
    await settle(one, db.client);
    await db.client.query(BACK);
    one.ordersChanged();
    await eventually('it is read anew', () => rereads(one));
    await one.rowsDone();
    await settle(one, db.client);
    await expectEqual(one, db.client, 'public.orders', "'id', id");
  });

  it('readers are told to forget it behind what the stream had to say of it under its name', async () => {
    const db = await fresh(ORDERS);
    const one = reading(db, { tables: ['public.*'] });
    let slow = false;
    one.start({
      beforeEach: async () => {
        for (let i = 0; slow && i < 20; i++) await db.client.query('SELECT 1');
      },
    });
    await one.rowsDone();
    slow = true;
    for (let i = 0; i < 20; i++)
      await db.client.query(
        `INSERT INTO orders SELECT 1000 + 500 * ${i} + n, repeat('x', 400) FROM generate_series(1, 500) n`,
      );
    await db.client.query('ALTER TABLE orders RENAME TO orders_tmp; DELETE FROM orders_tmp WHERE id > 50');
    await db.client.query(BACK);
    const forgotten = () => one.events.some(({ type }) => type === ROW_EVENT_TYPES.t);
    await eventually('they are told', forgotten);
    await one.rowsDone();
    await settle(one, db.client);
    await expectEqual(one, db.client, 'public.orders', "'id', id");
  });

  describe('where no rows are to be read', () => {
    it('to another name that is asked for: nothing is missing, and it goes on under that', async () => {
      const db = await fresh(ORDERS);
      const one = reading(db, { tables: ['public.*'], snapshot: 'never' });
      one.start();
      await eventually('it reads', () => one.connected && one.positions.size > 1);
      await settle(one, db.client);
      await db.client.query(away('changed'));
      const noted = () => one.positions.get(NOTEBOOK)!;
      await eventually('its name is noted', () => noted().includes('public.orders_tmp'));
      await settle(one, db.client);
      await db.client.query(BACK);
      await eventually('and the other', () => !noted().includes('public.orders_tmp'));
      await db.client.query("UPDATE orders SET v = 'back' WHERE id = 1");
      await one.seen('back');
      expect([one.failure, noted().includes('missed')]).toEqual([null, false]);
      expect(one.events.filter(({ subject }) => subject === 'public.orders_tmp')).toHaveLength(60);
      expect(one.events.filter(({ subject }) => subject === 'public.orders')).toHaveLength(1);
    });

    it.each(['runs', 'is stopped', 'is stopped in between'])(
      'to a name that is not: what was changed meanwhile is a gap once it is back (the stream %s)',
      async (how) => {
        const db = await fresh(ORDERS);
        const one = reading(db, { ...EXACT, snapshot: 'never' });
        one.start();
        await eventually('it reads', () => one.connected && one.positions.size > 1);
        await settle(one, db.client);
        // Without a change nothing is missing.
        await db.client.query('ALTER TABLE orders RENAME TO orders_tmp');
        await settle(one, db.client);
        await db.client.query(BACK);
        await db.client.query("UPDATE orders SET v = 'unharmed' WHERE id = 1");
        await one.seen('unharmed');
        await settle(one, db.client);
        if (how === 'is stopped') await one.stop();
        await db.client.query(away('changed'));
        if (how === 'is stopped in between') {
          await settle(one, db.client);
          await one.stop();
        }
        await db.client.query(BACK);
        if (how !== 'runs') one.start();
        expect(await one.outcome()).toMatchObject({ code: 'offset_gap', recourse: 'lost' });
        one.start();
        expect(await one.outcome()).toMatchObject({ code: 'offset_gap' });
        one.start({ onLost: 'resnapshot' });
        await eventually('it is read anew', () => rereads(one));
        await one.rowsDone();
        await settle(one, db.client);
        await expectEqual(one, db.client, 'public.orders', "'id', id");
        await one.stop();
        one.start();
        await settle(one, db.client);
      },
    );

    it('made under a name that is not asked for, and named after it was filled: nothing of later is lost', async () => {
      const db = await fresh(`${ORDERS}; CREATE PUBLICATION theirs FOR ALL TABLES`);
      const one = reading(db, {
        tables: ['public.*'],
        exclude_tables: ['public.orders_tmp'],
        snapshot: 'never',
        publication: 'theirs',
      });
      one.start();
      await eventually('it reads', () => one.connected && one.positions.size > 1);
      await db.client.query(
        "CREATE TABLE orders_tmp (id int PRIMARY KEY, v text); INSERT INTO orders_tmp VALUES (1, 'unasked')",
      );
      await settle(one, db.client);
      await db.client.query("ALTER TABLE orders_tmp RENAME TO bills; INSERT INTO bills VALUES (2, 'asked')");
      await one.seen('asked');
      expect(one.events.some(({ data }) => data.includes('unasked'))).toBe(false);
    });
  });
});

describe('a table that is refused', () => {
  it.each(['initial', 'never'])(
    'has none of its changes in the log until it is taken up (snapshot %s)',
    async (snapshot) => {
      const db = await fresh('CREATE TABLE marks (m text PRIMARY KEY); CREATE PUBLICATION theirs FOR ALL TABLES');
      const one = reading(db, { tables: ['public.*'], publication: 'theirs', snapshot });
      one.start();
      await eventually('it reads', () => one.connected && one.positions.size > 1);
      await settle(one, db.client);
      await db.client.query("CREATE TABLE loose (w text); INSERT INTO loose VALUES ('refused')");
      const refused = () => one.progress()?.tables?.some(({ state }) => state === 'refused');
      await eventually('it is refused', refused);
      await settle(one, db.client);
      await one.stop();
      one.start();
      await db.client.query("INSERT INTO loose VALUES ('refused again')");
      await settle(one, db.client);
      expect(one.events.some(({ subject }) => subject === 'public.loose')).toBe(false);
      await db.client.query('ALTER TABLE loose ADD PRIMARY KEY (w)');
      await eventually('it is taken up', () => one.positions.get(NOTEBOOK)?.includes('public.loose'));
      await db.client.query("INSERT INTO loose VALUES ('taken')");
      await one.seen('taken');
      if (snapshot === 'initial') await one.rowsDone();
      const rows = [...one.fold()].filter(([at]) => at.startsWith('public.loose '));
      expect(rows).toHaveLength(snapshot === 'never' ? 1 : 3);
    },
  );
});
