import { ROW_EVENT_TYPES } from '@planasonix/core';
import { eventually, type PostgresVersion } from '@planasonix/testing';
import type { TrialStream } from '../trial/trial-stream.js';
import { expectEqual, settle, sourceUnderTest, type Database } from './source-under-test.js';
import { NOTEBOOK } from './rows-state.js';

jest.setTimeout(180_000);

/** From 18 on a server passes over what was written while there was no publication, and says nothing. */
describe.each([17, 18] as const)('what a publication holds back, of Postgres %i', (version: PostgresVersion) => {
  const { fresh, reading } = sourceUnderTest(version);
  const MARKS = 'CREATE TABLE marks (m text PRIMARY KEY);';

  it('a table that was taken out of the publication is published again and read anew, also where nobody was there (Invariant 2)', async () => {
    const db = await fresh(`CREATE TABLE marks (m text PRIMARY KEY); CREATE TABLE lost (id int PRIMARY KEY, v text);
      INSERT INTO lost SELECT i, 'first' FROM generate_series(1, 100) i`);
    const one = reading(db, { tables: ['public.*'] });
    const publication = `planasonix_${db.name}`;
    const takeOut = async (v: string) => {
      await db.client.query(`ALTER PUBLICATION ${publication} DROP TABLE lost`);
      await db.client.query(
        `UPDATE lost SET v = '${v}' WHERE id <= 50; DELETE FROM lost WHERE id = (SELECT max(id) FROM lost)`,
      );
    };
    one.start();
    await one.rowsDone();
    await takeOut('while it ran');
    one.ordersChanged();
    await one.seen('while it ran');
    await one.rowsDone();
    await settle(one, db.client);
    await expectEqual(one, db.client, 'public.lost', "'id', id");
    await one.stop();
    await takeOut('while it did not');
    one.start();
    await one.seen('while it did not');
    await one.rowsDone();
    await one.stop();
    await takeOut('out and in again');
    await db.client.query(`ALTER PUBLICATION ${publication} ADD TABLE lost`);
    one.start();
    await one.seen('out and in again');
    await settle(one, db.client);
    await one.rowsDone();
    await expectEqual(one, db.client, 'public.lost', "'id', id");
    await takeOut('out and in while it ran');
    await db.client.query(`ALTER PUBLICATION ${publication} ADD TABLE lost`);
    one.ordersChanged();
    await one.seen('out and in while it ran');
    await settle(one, db.client);
    await one.rowsDone();
    await db.client.query("UPDATE lost SET v = 'published again' WHERE id = 1");
    await one.seen('published again');
    await expectEqual(one, db.client, 'public.lost', "'id', id");
  });

  it('a publication that holds operations back for a while: the tables are read anew (Invariant 2)', async () => {
    const db = await fresh(`CREATE TABLE marks (m text PRIMARY KEY);
      CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'first' FROM generate_series(1, 50) i;
      CREATE PUBLICATION theirs FOR ALL TABLES`);
    const publish = async (operations: string, v: string) => {
      await db.client.query(`ALTER PUBLICATION theirs SET (publish = '${operations}')`);
      await db.client.query(`UPDATE t SET v = '${v}'; DELETE FROM t WHERE id = (SELECT max(id) FROM t)`);
      one.ordersChanged();
      await one.seen(v);
      await one.rowsDone();
    };
    const one = reading(db, { tables: ['public.*'], publication: 'theirs' });
    one.start();
    await one.rowsDone();
    await publish('insert', 'held back');
    await one.stop();
    await db.client.query("UPDATE t SET v = 'unseen'");
    one.start();
    await settle(one, db.client);
    expect([...one.fold().values()].some(({ v }) => v === 'unseen')).toBe(false);
    await publish('insert, update, delete, truncate', 'published');
    await settle(one, db.client);
    await expectEqual(one, db.client, 'public.t', "'id', id");
  });

  it('a publication that is dropped: the slot can not be read past that place, and a new read goes on; or the tables are read anew (trap 10)', async () => {
    const db = await fresh(MARKS);
    const one = reading(db, { tables: ['public.*'] });
    one.start();
    await settle(one, db.client);
    await db.client.query(`DROP PUBLICATION planasonix_${db.name}`);
    await db.client.query("INSERT INTO marks VALUES ('unpublished')");
    if (version < 18) {
      expect(await one.outcome()).toMatchObject({ code: 'slot_lost', recourse: 'lost' });
      one.start({ onLost: 'resnapshot' });
    } else one.ordersChanged();
    await one.seen('unpublished');
    await settle(one, db.client);
    await expectEqual(one, db.client, 'public.marks', "'m', m");
    await one.stop();
    await db.client.query(`DROP PUBLICATION planasonix_${db.name}`);
    expect(await one.lag()).toMatchObject({
      provedAtMs: null,
      oldestPendingMs: null,
      backlogBytes: expect.any(Number),
    });
  });

  describe.each([
    ['all tables', 'FOR ALL TABLES'],
    ['a schema', 'FOR TABLE marks, TABLES IN SCHEMA shop'],
  ])('a table that is published with %s and unlogged for a while (Invariant 2)', (_, publication) => {
    const published = () =>
      fresh(`${MARKS} CREATE SCHEMA shop; CREATE TABLE shop.t (id int PRIMARY KEY, v text);
        INSERT INTO shop.t SELECT i, 'first' FROM generate_series(1, 50) i; CREATE PUBLICATION theirs ${publication}`);
    /** Nothing of what is written then is in the WAL. */
    const unlogged = async (db: Database, one: TrialStream) => {
      await db.client.query('ALTER TABLE shop.t SET UNLOGGED');
      await db.client.query("UPDATE shop.t SET v = 'unlogged'; DELETE FROM shop.t WHERE id = 50");
      one.ordersChanged();
      await eventually('it is noted', () => one.positions.get(NOTEBOOK)?.includes('"shop.t":-'));
      await db.client.query('ALTER TABLE shop.t SET LOGGED');
      one.ordersChanged();
    };

    it('is read anew once it is logged again', async () => {
      const db = await published();
      const one = reading(db, { tables: ['public.*', 'shop.*'], publication: 'theirs' });
      one.start();
      await one.rowsDone();
      await unlogged(db, one);
      await one.seen('unlogged');
      await one.rowsDone();
      await settle(one, db.client);
      await expectEqual(one, db.client, 'shop.t', "'id', id");
    });

    it('is a gap where no rows are to be read', async () => {
      const db = await published();
      const one = reading(db, { tables: ['public.*', 'shop.*'], publication: 'theirs', snapshot: 'never' });
      one.start();
      await eventually('it reads', () => one.connected);
      await unlogged(db, one);
      expect(await one.outcome()).toMatchObject({ code: 'offset_gap', recourse: 'lost' });
    });
  });

  it('tables of a schema that was taken out and put back are read anew (Invariant 2)', async () => {
    const db = await fresh(`${MARKS} CREATE SCHEMA shop; CREATE TABLE shop.t (id int PRIMARY KEY, v text);
      INSERT INTO shop.t SELECT i, 'first' FROM generate_series(1, 50) i;
      CREATE PUBLICATION theirs FOR TABLE marks, TABLES IN SCHEMA shop`);
    const outAndIn = async (v: string) => {
      await db.client.query('ALTER PUBLICATION theirs DROP TABLES IN SCHEMA shop');
      await db.client.query(`UPDATE shop.t SET v = '${v}'`);
      await db.client.query('ALTER PUBLICATION theirs ADD TABLES IN SCHEMA shop');
    };
    const one = reading(db, { tables: ['public.*', 'shop.*'], publication: 'theirs' });
    one.start();
    await one.rowsDone();
    await outAndIn('while it ran');
    one.ordersChanged();
    await one.seen('while it ran');
    await one.rowsDone();
    await settle(one, db.client);
    await one.stop();
    await outAndIn('while it did not');
    one.start();
    await one.seen('while it did not');
    await one.rowsDone();
    await settle(one, db.client);
    await expectEqual(one, db.client, 'shop.t', "'id', id");
  });

  describe('where no rows are to be read', () => {
    const GAP = { code: 'offset_gap', recourse: 'lost' };
    /** What is written before it reads is not its own. */
    const reads = async (one: TrialStream, db: Database) => {
      await eventually('it reads', () => Promise.resolve(one.connected));
      await settle(one, db.client);
    };
    const unread = async (db: Database, more: object = {}) => {
      const one = reading(db, { tables: ['public.*'], snapshot: 'never', ...more });
      one.start();
      await reads(one, db);
      return one;
    };
    const outAndIn = async ({ name, client }: Database) => {
      await client.query(`ALTER PUBLICATION planasonix_${name} DROP TABLE t`);
      await client.query('INSERT INTO t SELECT coalesce(max(id), 0) + 1 FROM t');
      await client.query(`ALTER PUBLICATION planasonix_${name} ADD TABLE t`);
    };
    const T = `${MARKS} CREATE TABLE t (id int PRIMARY KEY)`;

    it('a table that was out while it ran, or while it did not: what is missing is said (Invariant 2)', async () => {
      const db = await fresh(T);
      const one = await unread(db);
      await outAndIn(db);
      one.ordersChanged();
      expect(await one.outcome()).toMatchObject(GAP);
      one.start({ onLost: 'skip' });
      await reads(one, db);
      await one.stop();
      await outAndIn(db);
      one.start();
      expect(await one.outcome()).toMatchObject(GAP);
      one.start();
      expect(await one.outcome()).toMatchObject(GAP);
    });

    it('tables of a schema that was out for a while; one that comes into it misses nothing (Invariant 2)', async () => {
      const db = await fresh(`${MARKS} CREATE SCHEMA shop; CREATE TABLE shop.t (id int PRIMARY KEY);
        CREATE PUBLICATION theirs FOR TABLE marks, TABLES IN SCHEMA shop`);
      const one = await unread(db, { tables: ['public.*', 'shop.*'], publication: 'theirs' });
      await db.client.query('CREATE TABLE shop.later (id int PRIMARY KEY); INSERT INTO shop.later VALUES (71)');
      await one.seen('71');
      await reads(one, db);
      for (const runs of [true, false]) {
        if (!runs) await one.stop();
        await db.client.query('ALTER PUBLICATION theirs DROP TABLES IN SCHEMA shop');
        await db.client.query('INSERT INTO shop.t SELECT coalesce(max(id), 0) + 1 FROM shop.t');
        await db.client.query('ALTER PUBLICATION theirs ADD TABLES IN SCHEMA shop');
        if (runs) one.ordersChanged();
        else one.start();
        expect(await one.outcome()).toMatchObject(GAP);
        one.start({ onLost: 'skip' });
        await reads(one, db);
      }
    });

    it('also where it was killed once that was noted', async () => {
      const db = await fresh(T);
      const one = await unread(db);
      await one.stop();
      one.start({
        beforeEach: () => {
          if (one.positions.get(NOTEBOOK)?.includes('-')) throw new Error('killed');
        },
      });
      await eventually('it reads', () => Promise.resolve(one.connected));
      await outAndIn(db);
      one.ordersChanged();
      // Whichever comes first.
      expect(await one.outcome()).toMatchObject({ message: expect.stringMatching(/killed|publication/) });
      one.start();
      expect(await one.outcome()).toMatchObject(GAP);
    });

    it('what the user left out for a while, and asks for again, misses nothing that was asked for', async () => {
      const db = await fresh(T);
      const one = await unread(db);
      await one.stop();
      one.configure({ tables: ['public.*'], snapshot: 'never', exclude_tables: ['public.t'] });
      one.start();
      await settle(one, db.client);
      await one.stop();
      one.configure({ tables: ['public.*'], snapshot: 'never' });
      one.start();
      await settle(one, db.client);
      await db.client.query('INSERT INTO t VALUES (77)');
      await one.seen('77');
    });

    it('a slot that is older than the publication that was made for it (trap 10)', async () => {
      const db = await fresh(T);
      const slot = `early_${db.name}`;
      await db.client.query(`SELECT pg_create_logical_replication_slot('${slot}', 'pgoutput')`);
      await db.client.query('INSERT INTO t VALUES (1)');
      const one = reading(db, { tables: ['public.*'], snapshot: 'never', slot_name: slot });
      one.start();
      expect(await one.outcome()).toMatchObject({ code: 'slot_lost', recourse: 'lost' });
      one.start({ onLost: 'skip' });
      await reads(one, db);
    });
  });

  it('one table that has lost its replica identity does not keep the others from being read on', async () => {
    const db = await fresh(`${MARKS} CREATE TABLE t (id int PRIMARY KEY)`);
    const one = reading(db, { tables: ['public.*'] });
    one.start();
    await one.rowsDone();
    await one.stop();
    await db.client.query('ALTER TABLE t DROP CONSTRAINT t_pkey');
    one.start();
    await settle(one, db.client);
    await db.client.query('INSERT INTO t VALUES (78)');
    await settle(one, db.client);
    one.ordersChanged();
    const refused = () => one.progress()?.tables?.some(({ state, note }) => state === 'refused' && note?.startsWith('no_replica_identity')); // prettier-ignore
    await eventually('it is refused', () => Promise.resolve(refused()));
    expect(one.failure).toBeNull();
    // What came meanwhile is not lost.
    await db.client.query('ALTER TABLE t ADD PRIMARY KEY (id)');
    one.ordersChanged();
    await one.seen('78');
  });

  it('partitions that come under their own names: by their root again, and so in the fix for a publication that is not ours', async () => {
    const db = await fresh(`${MARKS} CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
      CREATE TABLE p_low PARTITION OF p FOR VALUES FROM (0) TO (100); CREATE PUBLICATION theirs FOR TABLE marks, p`);
    const theirs = reading(db, { tables: ['public.*'], publication: 'theirs' });
    const [lacking] = (await theirs.check()).filter(({ severity }) => severity === 'error');
    expect(lacking).toMatchObject({ code: 'publication_incomplete' });
    await db.client.query(lacking!.fix!);
    expect((await theirs.check()).filter(({ severity }) => severity === 'error')).toEqual([]);
    const ours = reading(db, { tables: ['public.*'] });
    ours.start();
    await ours.rowsDone();
    await db.client.query(`ALTER PUBLICATION planasonix_${db.name} SET (publish_via_partition_root = false)`);
    await db.client.query("INSERT INTO p VALUES (1, 'by its own name')");
    ours.ordersChanged();
    await eventually('its rows came by the root', () =>
      Promise.resolve(
        ours.events.some(({ subject, data }) => subject === 'public.p' && data.toString().includes('by its own name')),
      ),
    );
    await ours.rowsDone();
    await settle(ours, db.client);
    await db.client.query("INSERT INTO p VALUES (2, 'by its root')");
    await ours.seen('by its root');
    const told = ours.events.filter(({ data }) => data.includes('by its root'));
    expect(told.map(({ subject, type }) => [subject, type])).toEqual([['public.p', ROW_EVENT_TYPES.c]]);
    await expectEqual(ours, db.client, 'public.p', "'id', id");
  });

  if (version < 18)
    it('a key that is generated is not sent: such a table is refused, at the beginning and later', async () => {
      const MADE = 'CREATE TABLE made (id int, twice int GENERATED ALWAYS AS (id * 2) STORED, PRIMARY KEY (id, twice))';
      const db = await fresh(MARKS);
      const one = reading(db, { tables: ['public.*'] });
      one.start();
      await one.rowsDone();
      await db.client.query(MADE);
      one.ordersChanged();
      await eventually('it is refused', () =>
        Promise.resolve(
          one
            .progress()
            ?.tables?.some(({ state, note }) => state === 'refused' && note?.startsWith('no_replica_identity')),
        ),
      );
      await settle(one, db.client);
      const beside = await fresh(MADE);
      const another = reading(beside, { tables: ['public.made'] });
      expect((await another.check())[0]).toMatchObject({ code: 'no_replica_identity', severity: 'error' });
      another.start();
      expect(await another.outcome()).toMatchObject({ code: 'no_replica_identity' });
    });
});
