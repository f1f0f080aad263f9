import { eventually } from '@planasonix/testing';
import { Emptyings } from '../emptyings.js';
import { PartitionWatch, partitionsNow } from '../partitions.js';
import type { TrialStream } from '../trial/trial-stream.js';
import { expectEqual, settle, sourceUnderTest, type Database } from './source-under-test.js';

jest.setTimeout(180_000);

const { fresh, reading } = sourceUnderTest();

/** A table of two partitions with rows in both. */
const WHOLE = `CREATE TABLE marks (m text PRIMARY KEY);
  CREATE TABLE whole (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
  CREATE TABLE whole_a PARTITION OF whole FOR VALUES FROM (0) TO (100);
  CREATE TABLE whole_b PARTITION OF whole FOR VALUES FROM (100) TO (200);
  INSERT INTO whole SELECT i, 'a' FROM generate_series(1, 150) i`;

it('a partition that is unlogged for a while: its table is read anew, and once more when it is logged again (Invariant 2)', async () => {
  const db = await fresh(WHOLE);
  const one = reading(db, { tables: ['public.*'] });
  one.start();
  await one.rowsDone();
  /** What is written to an unlogged partition is in no WAL. */
  const write = async (v: string, logged: string) => {
    await db.client.query(`UPDATE whole SET v = '${v}' WHERE id > 120; ALTER TABLE whole_b SET ${logged}`);
    one.ordersChanged();
    await one.seen(v);
    await one.rowsDone();
  };
  await db.client.query('ALTER TABLE whole_b SET UNLOGGED');
  await write('before anybody knew', 'UNLOGGED');
  await write('unseen', 'LOGGED');
  await settle(one, db.client);
  await expectEqual(one, db.client, 'public.whole', "'id', id");
});

describe('a partition that comes with rows before its table was looked at (Invariant 2)', () => {
  const PARTS = `CREATE TABLE marks (m text PRIMARY KEY);
    CREATE TABLE whole (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
    CREATE TABLE whole_a PARTITION OF whole FOR VALUES FROM (0) TO (101);
    INSERT INTO whole SELECT i, 'a' FROM generate_series(1, 100) i;
    CREATE TABLE apart (id int PRIMARY KEY, v text); INSERT INTO apart SELECT i, 'b' FROM generate_series(101, 200) i`;
  const ATTACH = 'ALTER TABLE whole ATTACH PARTITION apart FOR VALUES FROM (101) TO (201)';
  const BIG = `CREATE TABLE big (id int PRIMARY KEY, v text);
    INSERT INTO big SELECT i, repeat('x', 100) FROM generate_series(1, 30000) i; ANALYZE big`;
  const has = (one: TrialStream, id: number) => one.events.some(({ subject, partitionkey }) => subject === 'public.whole' && partitionkey === `{"id":${id}}`); // prettier-ignore

  async function expectAll(one: TrialStream, { client }: Database): Promise<void> {
    await eventually('its rows are read', () => has(one, 200) || one.failure !== null);
    await settle(one, client);
    await one.rowsDone();
    await expectEqual(one, client, 'public.whole', "'id', id");
  }

  it('at once after the rows of the others were read', async () => {
    const db = await fresh(`${PARTS}; ${BIG}`);
    const one = reading(db, { tables: ['public.whole', 'public.big', 'public.marks'], snapshot_readers: 1, snapshot_max_rows_per_second: 5_000 }); // prettier-ignore
    let attached = false;
    one.start({
      beforeEach: async ({ events }) => {
        if (attached || events.length === 0) return;
        attached = true;
        await db.client.query(ATTACH);
      },
    });
    await expectAll(one, db);
  });

  it('which waits for its rows to be read by itself: it ends, and its rows come under its root', async () => {
    const db = await fresh(`${PARTS}; DROP TABLE apart; ${BIG}`);
    const one = reading(db, { tables: ['public.*'], snapshot_readers: 1, snapshot_max_rows_per_second: 3_000 });
    const apart = () => one.progress()?.tables?.find(({ table }) => table === 'public.apart')?.state;
    one.start();
    await eventually('rows come', () => one.events.some(({ subject }) => subject === 'public.big'));
    await db.client.query(
      `CREATE TABLE apart (id int PRIMARY KEY, v text); INSERT INTO apart SELECT i, 'b' FROM generate_series(101, 200) i`,
    );
    await eventually('it is taken up', () => apart() === 'waiting');
    await db.client.query(ATTACH);
    await expectAll(one, db);
    expect(apart()).toBe('cancelled');
  });

  it('between the look before the slot and the one behind it, whose files count', async () => {
    const db = await fresh(PARTS);
    const control = await db.ours();
    const { rows } = await control.query<{ oid: string }>("SELECT 'public.whole'::regclass::oid AS oid");
    const root = Number(rows[0]!.oid);
    const then = await partitionsNow(control, [{ oid: root }]);
    await db.client.query(`TRUNCATE whole; ${ATTACH}`);
    const watch = new PartitionWatch(new Map(), { emptyings: new Emptyings(), reached: () => 1n << 60n });
    await watch.note(control, [root], then);
    expect(await watch.look(control, [root])).toMatchObject({ filled: [root], told: new Map() });
  });

  it('behind a table that came late', async () => {
    const db = await fresh('CREATE TABLE marks (m text PRIMARY KEY)');
    const one = reading(db, { tables: ['public.*'], exclude_tables: ['public.apart'] });
    one.start();
    await one.rowsDone();
    await db.client.query(PARTS.slice(PARTS.indexOf(';') + 1));
    one.ordersChanged();
    await eventually('its rows are read', () => has(one, 100));
    await db.client.query(ATTACH);
    await expectAll(one, db);
  });

  it('while the stream rests that was stopped right after its first rows; a notebook that has nothing of them is read anew', async () => {
    const db = await fresh(PARTS);
    const one = reading(db, { tables: ['public.whole', 'public.marks'] });
    one.start();
    await eventually('its rows are read', () => has(one, 100));
    await one.stop();
    await db.client.query(ATTACH);
    one.start();
    await expectAll(one, db);
    await one.stop();
    // As an earlier version left it that was stopped before its first look.
    const { partitions, ...rest } = JSON.parse(one.positions.get('#tables')!) as { partitions: object };
    expect(Object.values(partitions)).toEqual([{ [`"public"."apart"`]: expect.anything(), [`"public"."whole_a"`]: expect.anything() }]); // prettier-ignore
    one.positions.set('#tables', JSON.stringify({ ...rest, partitions: {} }));
    const before = one.events.length;
    one.start();
    await eventually('it is read anew', () => one.events.length === before + 201);
    await expectAll(one, db);
    expect(one.events.slice(before).filter(({ data }) => data.includes('"op":"t"'))).toHaveLength(1);
    // Not each time.
    await one.stop();
    one.start();
    await settle(one, db.client);
    await eventually('it has looked', () => one.positions.get('#tables')?.includes('whole_a'));
    expect(one.events.slice(before).filter(({ data }) => data.includes('"op":"t"'))).toHaveLength(1);
  });

  it.each(['never', 'skip'])('is not told of where no rows are to be read: %s', async (how) => {
    const db = await fresh(PARTS);
    const one = reading(db, { tables: ['public.whole', 'public.marks'], snapshot: how === 'never' ? how : 'initial' });
    one.start({ onLost: how === 'skip' ? how : null });
    await eventually('it reads', () => one.connected && one.lsn !== '0/0');
    await settle(one, db.client);
    await one.stop();
    if (how === 'never') one.positions.set('#tables', one.positions.get('#tables')!.replace(/"partitions":{.*?}}/, '"partitions":{}')); // prettier-ignore
    one.start();
    await settle(one, db.client);
    await eventually('it has looked', () => one.positions.get('#tables')?.includes('whole_a'));
    await settle(one, db.client);
    expect([one.failure, one.events.filter(({ subject }) => subject === 'public.whole')]).toEqual([null, []]);
  });
});

describe('rows of partitions', () => {
  it.each(['while it runs', 'while it does not'])(
    'a partition that brings rows is read, one that is made empty is not, and one that goes is told of, %s',
    async (when) => {
      const db = await fresh(`CREATE TABLE marks (m text PRIMARY KEY);
      CREATE TABLE whole (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
      CREATE TABLE whole_a PARTITION OF whole FOR VALUES FROM (0) TO (100);
      INSERT INTO whole SELECT i, 'a' FROM generate_series(1, 50) i;
      CREATE TABLE apart (id int PRIMARY KEY, v text); INSERT INTO apart SELECT i, 'b' FROM generate_series(100, 150) i`);
      const one = reading(db, { tables: ['public.marks', 'public.whole'] });
      const told = () =>
        one.progress()?.tables?.find(({ table, note }) => table === 'public.whole' && note !== null)?.note;
      const emptied = () => one.events.filter(({ subject, data }) => subject === 'public.whole' && data.includes('"op":"t"')).length; // prettier-ignore
      const change = async (sql: string) => {
        if (when === 'while it does not') await one.stop();
        await db.client.query(sql);
        if (when === 'while it does not') one.start();
        else one.ordersChanged();
      };
      one.start();
      await one.rowsDone();
      await eventually('its partitions are noted', () => one.positions.get('#tables')?.includes('whole_a'));
      // In one transaction: the stream has said the row.
      await change(
        "CREATE TABLE whole_c PARTITION OF whole FOR VALUES FROM (200) TO (300); INSERT INTO whole VALUES (200, 'c')",
      );
      await eventually('the new one is noted', () => one.positions.get('#tables')?.includes('whole_c')); // prettier-ignore
      expect(emptied()).toBe(0);
      await change('ALTER TABLE whole ATTACH PARTITION apart FOR VALUES FROM (100) TO (200)');
      const rows = () => [...one.fold().keys()].filter((at) => at.startsWith('public.whole ')).length;
      await eventually('its rows are read', () => emptied() === 1 && rows() === 102);
      await db.client.query("UPDATE whole SET v = 'changed' WHERE id IN (50, 150, 200)");
      await settle(one, db.client);
      await expectEqual(one, db.client, 'public.whole', "'id', id");
      expect(emptied()).toBe(1);
      await change('DROP TABLE whole_c');
      await eventually('it is told', () => told()?.includes('Detached or dropped: "public"."whole_c"'));
      expect(emptied()).toBe(1);
    },
  );

  it.each(['while it runs', 'while it does not'])(
    'a partition that is emptied by itself is told of, for the server says nothing; the whole table, or a copy, is not (trap 17), %s',
    async (when) => {
      const db = await fresh(WHOLE);
      const one = reading(db, { tables: ['public.marks', 'public.whole'] });
      const told = () => one.progress()?.tables?.find(({ table, note }) => table === 'public.whole' && note !== null)?.note; // prettier-ignore
      const noted = async (what: string) => {
        const { rows } = await db.client.query<{ file: string }>(
          "SELECT string_agg(pg_relation_filenode(r)::text, ',') AS file FROM unnest('{whole_a,whole_b}'::regclass[]) r",
        );
        const files = rows[0]!.file.split(',');
        const there = () => {
          one.ordersChanged();
          return files.every((file) => one.positions.get('#tables')?.includes(`,${file},`));
        };
        await eventually(what, there);
      };
      const change = async (...statements: string[]) => {
        if (when === 'while it does not') await one.stop();
        for (const sql of statements) await db.client.query(sql);
        if (when === 'while it does not') one.start();
        else one.ordersChanged();
        await noted(statements.join('; '));
      };
      one.start();
      await one.rowsDone();
      await noted('its partitions are noted');
      await change('VACUUM FULL whole_a');
      expect(told()).toBeUndefined();
      await change('TRUNCATE whole', "INSERT INTO whole SELECT i, 'again' FROM generate_series(1, 150) i");
      expect(told()).toBeUndefined();
      await change('TRUNCATE whole_b', "INSERT INTO whole VALUES (150, 'new')");
      expect(told()).toContain('Emptied or written anew by itself: "public"."whole_b".');
      await settle(one, db.client);
      expect([...one.fold().keys()].filter((at) => at.startsWith('public.whole '))).toHaveLength(150);
    },
  );

  it.each(['while it runs', 'while it does not', 'and it is killed before it has looked'])(
    'a table that is emptied within a savepoint, and whose partition is granted to somebody, was not emptied by itself (traps 17, 38), %s',
    async (when) => {
      const db = await fresh(WHOLE);
      const one = reading(db, { tables: ['public.marks', 'public.whole'] });
      const noted = async (what: string, partitions = 'whole_a,whole_b') => {
        const { rows } = await db.client.query<{ file: string }>(
          "SELECT relfilenode::text AS file FROM pg_class WHERE relname = ANY (string_to_array($1, ','))",
          [partitions],
        );
        const there = () => {
          one.ordersChanged();
          return rows.every(({ file }) => one.positions.get('#tables')?.includes(`,${file},`));
        };
        await eventually(what, there);
      };
      const emptied = () => one.events.filter(({ subject, data }) => subject === 'public.whole' && data.includes('"op":"t"')).length; // prettier-ignore
      const killed = when.startsWith('and');
      one.start({
        beforeEach: () => {
          if (killed && emptied() > 0) throw new Error('killed');
        },
      });
      await one.rowsDone();
      await noted('its partitions are noted');
      if (when === 'while it does not') await one.stop();
      await db.client.query('BEGIN; SAVEPOINT s; TRUNCATE whole; RELEASE s; COMMIT');
      await db.client.query(
        `GRANT SELECT ON whole_a TO PUBLIC; INSERT INTO whole SELECT i, 'b' FROM generate_series(50, 150) i`,
      );
      if (killed) expect(String(await one.outcome())).toContain('killed');
      if (when === 'while it does not') {
        const session = await db.session();
        await session.query('CREATE TABLE whole_c PARTITION OF whole FOR VALUES FROM (200) TO (300)');
        await session.query('BEGIN; LOCK TABLE ONLY whole_a IN ACCESS EXCLUSIVE MODE');
        one.start();
        await noted('it has looked while somebody keeps one to himself', 'whole_c');
        await session.query('COMMIT');
      } else if (killed) one.start();
      await noted('its new files are noted');
      await settle(one, db.client);
      await expectEqual(one, db.client, 'public.whole', "'id', id");
      expect([emptied(), one.progress()?.tables?.filter(({ note }) => note !== null) ?? [], one.warnings]).toEqual([
        1,
        [],
        [],
      ]);
      await eventually('positions say nothing of it', () => one.positions.get('')?.includes('emptyings') === false);
      await db.client.query('TRUNCATE whole_a; TRUNCATE whole_b');
      one.ordersChanged();
      await noted('its newest files are noted');
      expect(one.warnings).toHaveLength(1);
    },
  );

  it.each(['while it runs', 'while it does not'])(
    'the only partition that is emptied by itself is told of; its table that is emptied, or takes another form, is not, %s',
    async (when) => {
      const db = await fresh(`CREATE TABLE marks (m text PRIMARY KEY);
      CREATE TABLE lone (id int PRIMARY KEY, v int) PARTITION BY RANGE (id);
      CREATE TABLE lone_a PARTITION OF lone FOR VALUES FROM (0) TO (1000);
      INSERT INTO lone SELECT i, 1 FROM generate_series(1, 50) i`);
      const one = reading(db, { tables: ['public.marks', 'public.lone'] });
      const told = () => one.progress()?.tables?.find(({ table, note }) => table === 'public.lone' && note !== null)?.note; // prettier-ignore
      const noted = async (what: string) => {
        const { rows } = await db.client.query<{ file: string }>("SELECT pg_relation_filenode('lone_a')::text AS file");
        const there = () => one.positions.get('#tables')?.includes(`,${rows[0]!.file},`);
        await eventually(what, there);
      };
      one.start();
      await one.rowsDone();
      await noted('its partition is noted');
      for (const sql of ['ALTER TABLE lone ALTER v TYPE bigint', 'TRUNCATE lone', 'TRUNCATE lone_a']) {
        expect([sql, told()]).toEqual([sql, undefined]);
        if (when === 'while it does not') await one.stop();
        await db.client.query(sql);
        await db.client.query('INSERT INTO lone SELECT i, 2 FROM generate_series(100, 150) i ON CONFLICT DO NOTHING');
        if (when === 'while it does not') one.start();
        else one.ordersChanged();
        await noted(sql);
      }
      expect(told()).toContain('Emptied or written anew by itself: "public"."lone_a".');
    },
  );

  it('an emptying that the stream says while files are looked at does not stand for one that comes later (trap 17)', async () => {
    const db = await fresh(WHOLE);
    const control = await db.ours();
    const { rows } = await control.query<{ oid: string }>("SELECT 'public.whole'::regclass::oid AS oid");
    const root = Number(rows[0]!.oid);
    const emptyings = new Emptyings();
    const watch = new PartitionWatch(new Map(), { emptyings, reached: () => 1n << 60n });
    const look = async () => {
      const news = await watch.look(control, [root]);
      news.accept();
      return news.told.get(root);
    };
    expect(await look()).toBeUndefined();
    await db.client.query('BEGIN; TRUNCATE whole');
    const emptying = await db.client.query<{ xid: string }>('SELECT pg_current_xact_id()::text AS xid');
    await db.client.query('COMMIT');
    const ask = control.query.bind(control) as (...args: unknown[]) => never;
    jest.spyOn(control, 'query').mockImplementationOnce((...args: unknown[]) => {
      emptyings.say(root, Number(emptying.rows[0]!.xid));
      return ask(...args);
    });
    expect([await look(), emptyings.of(root)]).toEqual([undefined, false]);
    await db.client.query('TRUNCATE whole_b');
    expect([await look(), await look()]).toEqual([undefined, expect.stringContaining('"public"."whole_b"')]);
  });
});
