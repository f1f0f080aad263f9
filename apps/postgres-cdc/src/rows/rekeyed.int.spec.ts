import { eventually } from '@planasonix/testing';
import { NOTEBOOK } from './rows-state.js';
import { expectEqual, settle, sourceUnderTest } from './source-under-test.js';

jest.setTimeout(180_000);

const { fresh, reading } = sourceUnderTest();

const T = `CREATE TABLE marks (m text PRIMARY KEY); CREATE TABLE t (a int PRIMARY KEY, b int NOT NULL UNIQUE, v text);
  INSERT INTO t SELECT i, i + 1000, 'first' FROM generate_series(1, 50) i`;
const REKEY = 'ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (b)';

/** Readers know a row by its key: by another one they would hold it twice. */
describe('a table that gets another key after its rows were read', () => {
  it('is read anew, while the stream runs and also where it changed while nobody was there', async () => {
    const db = await fresh(T);
    const one = reading(db, { tables: ['public.*'] });
    one.start();
    await one.rowsDone();
    await db.client.query(REKEY);
    await db.client.query("UPDATE t SET v = 'second' WHERE a <= 5");
    await one.seen('"op":"t"');
    await one.rowsDone();
    await settle(one, db.client);
    await expectEqual(one, db.client, 'public.t', "'b', b");
    await one.stop();
    await db.client.query('ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (a, b)');
    await db.client.query('DELETE FROM t WHERE a = 7');
    const before = one.events.length;
    one.start();
    await eventually('it is read anew', () =>
      Promise.resolve(one.events.slice(before).some(({ data }) => data.includes('"op":"t"'))),
    );
    await one.rowsDone();
    await settle(one, db.client);
    await expectEqual(one, db.client, 'public.t', "'a', a, 'b', b");
    // Once: nothing is read again for what is known by now.
    await one.stop();
    const emptied = one.events.filter(({ data }) => data.includes('"op":"t"')).length;
    one.start();
    await db.client.query("UPDATE t SET v = 'third' WHERE a = 9");
    await settle(one, db.client);
    one.ordersChanged();
    await settle(one, db.client);
    expect(one.events.filter(({ data }) => data.includes('"op":"t"'))).toHaveLength(emptied);
  });

  it('is read anew also where it got it amid its rows', async () => {
    const db = await fresh(`${T}; INSERT INTO t SELECT i, i + 100000, 'more' FROM generate_series(51, 50000) i`);
    const one = reading(db, { tables: ['public.*'], snapshot_readers: 1 });
    let rekeyed = false;
    one.start({
      beforeEach: async () => {
        if (rekeyed || !one.events.some(({ subject }) => subject === 'public.t')) return;
        rekeyed = true;
        await db.client.query(REKEY);
      },
    });
    await one.rowsDone();
    expect(rekeyed).toBe(true);
    await db.client.query("UPDATE t SET v = 'after' WHERE a < 9");
    await settle(one, db.client);
    await one.rowsDone();
    await expectEqual(one, db.client, 'public.t', "'b', b");
  });

  it('is read anew also where it was killed once the change was durable, before anything was noted', async () => {
    const db = await fresh(T);
    const one = reading(db, { tables: ['public.*'] });
    one.start();
    await one.rowsDone();
    await settle(one, db.client);
    await one.stop();
    await db.client.query(REKEY);
    await db.client.query("UPDATE t SET v = 'under the new key' WHERE a = 3");
    const noted = one.positions.get(NOTEBOOK);
    let durable = false;
    one.start({
      beforeEach: () => {
        if (durable) throw new Error('killed');
        durable = one.events.some(({ data }) => data.includes('under the new key'));
      },
    });
    await one.seen('under the new key');
    one.ordersChanged();
    expect(await one.outcome()).toMatchObject({ message: 'killed' });
    if (one.positions.get(NOTEBOOK) === noted) expect(one.positions.get('')).toContain('strays');
    one.start();
    await one.seen('"op":"t"');
    await one.rowsDone();
    await settle(one, db.client);
    await expectEqual(one, db.client, 'public.t', "'b', b");
  });

  it('without identity for a while: refused with its fix where there is no key, and known by the key where there is one', async () => {
    const db = await fresh(T);
    const one = reading(db, { tables: ['public.*'] });
    one.start();
    await one.rowsDone();
    await db.client.query('ALTER TABLE t REPLICA IDENTITY NOTHING');
    await db.client.query("INSERT INTO t VALUES (100, 1100, 'of nothing')");
    await one.seen('of nothing');
    await db.client.query('ALTER TABLE t REPLICA IDENTITY DEFAULT');
    await db.client.query("UPDATE t SET v = 'and back' WHERE a = 100");
    await settle(one, db.client);
    await expectEqual(one, db.client, 'public.t', "'a', a");
    expect(one.events.some(({ data }) => data.includes('"op":"t"'))).toBe(false);

    await db.client.query('ALTER TABLE t DROP CONSTRAINT t_pkey');
    await db.client.query("INSERT INTO t VALUES (101, 1101, 'without a key')");
    await settle(one, db.client);
    one.ordersChanged();
    const refused = () =>
      one.progress()?.tables?.some(({ state, note }) => state === 'refused' && note?.startsWith('no_replica_identity'));
    await eventually('it is refused', () => Promise.resolve(refused()));
    await db.client.query('ALTER TABLE t ADD PRIMARY KEY (a)');
    one.ordersChanged();
    await one.seen('"op":"t"');
    await one.rowsDone();
    await settle(one, db.client);
    await expectEqual(one, db.client, 'public.t', "'a', a");
  });
});
