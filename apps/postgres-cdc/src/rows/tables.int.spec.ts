import { eventually } from '@planasonix/testing';
import { LEDGER, ROWS, expectEqual, expectUniqueIds, settle, sourceUnderTest } from './source-under-test.js';

jest.setTimeout(180_000);

const { fresh, reading } = sourceUnderTest();

describe('which rows are read', () => {
  it('a new read of many tables under writes, on a slot that was found: what was told before the table was emptied is read again', async () => {
    const names = Array.from({ length: 5 }, (_, i) => `t${i}`);
    const db = await fresh(
      `CREATE TABLE marks (m text PRIMARY KEY); ${names.map((name) => `CREATE TABLE ${name} (id int PRIMARY KEY, v int); INSERT INTO ${name} SELECT i, 0 FROM generate_series(1, 300) i;`).join(' ')}
       CREATE PUBLICATION theirs FOR ALL TABLES`,
    );
    await db.client.query(`SELECT pg_create_logical_replication_slot('theirs_${db.name}', 'pgoutput')`);
    const one = reading(db, { tables: ['public.*'], publication: 'theirs', slot_name: `theirs_${db.name}` });
    one.start();
    await one.rowsDone();
    await one.stop();
    let writing = true;
    const writer = (async () => {
      const session = await db.session();
      for (let i = 0; writing; i++) await session.query(`UPDATE t${i % 5} SET v = v + 1 WHERE id = ${1 + (i % 300)}`);
    })();
    one.start({ onLost: 'resnapshot' });
    await eventually('it has begun', () => one.progress()?.state !== undefined);
    await one.rowsDone();
    writing = false;
    await writer;
    await settle(one, db.client);
    for (const name of names) await expectEqual(one, db.client, `public.${name}`, "'id', id");
  });

  it('a table that is rewritten after the slot was made looks empty to its snapshot, and is read later', async () => {
    const db = await fresh(`CREATE TABLE marks (m text PRIMARY KEY); CREATE TABLE rewritten (id int PRIMARY KEY, v int);
      INSERT INTO rewritten SELECT i, i FROM generate_series(1, 3000) i`);
    const one = reading(db, { tables: ['public.*'], snapshot_readers: 1 });
    let altered = false;
    one.start({
      beforeEach: async () => {
        if (altered) return;
        altered = true;
        await db.client.query('ALTER TABLE rewritten ALTER v TYPE bigint');
      },
    });
    await one.rowsDone();
    await settle(one, db.client);
    await expectEqual(one, db.client, 'public.rewritten', "'id', id");
  });

  it('names that are swapped are other tables to readers; what was excluded stays so under any name', async () => {
    const db = await fresh(`CREATE TABLE marks (m text PRIMARY KEY);
      CREATE TABLE orders (id int PRIMARY KEY, v text, secret text); INSERT INTO orders SELECT i, 'old', 'hush' FROM generate_series(1, 50) i;
      CREATE TABLE orders_new (id int PRIMARY KEY, v text, secret text); INSERT INTO orders_new SELECT i, 'new', 'hush' FROM generate_series(20, 60) i`);
    const exclude_columns = { 'public.orders': ['secret'], 'public.orders_new': ['secret'] };
    const one = reading(db, { tables: ['public.*'], exclude_columns });
    one.start();
    await one.rowsDone();
    await db.client.query('ALTER TABLE orders RENAME TO orders_old; ALTER TABLE orders_new RENAME TO orders');
    await db.client.query(
      "INSERT INTO orders_old VALUES (99, 'late', 'hush'); INSERT INTO orders VALUES (99, 'late', 'hush')",
    );
    one.ordersChanged();
    await eventually('the new one is read', () => one.fold().get('public.orders {"id":60}')?.['v'] === 'new');
    await one.rowsDone();
    await settle(one, db.client);
    const orders = [...one.fold()].filter(([at]) => at.startsWith('public.orders ')).map(([, row]) => row['v']);
    expect(orders.sort()).toEqual(['late', ...Array.from({ length: 41 }, () => 'new')]);
    expect(one.events.some((event) => event.data.includes('hush'))).toBe(false);
  });

  it('tables that come later are taken up with their rows, their open writers waited out (trap 12); made anew too', async () => {
    const db = await fresh('CREATE TABLE marks (m text PRIMARY KEY)');
    const one = reading(db, { tables: ['public.*'] });
    one.start();
    await one.rowsDone();
    const open = await db.session();
    await db.client.query(
      'CREATE TABLE late (id int PRIMARY KEY, v int); INSERT INTO late SELECT i, 0 FROM generate_series(1, 3000) i',
    );
    await open.query('BEGIN');
    await open.query('INSERT INTO late VALUES (5000, 0)');
    one.ordersChanged();
    await eventually('it waits for the writer', () => one.progress()?.tables?.some((table) => table.note !== null));
    await db.client.query('UPDATE late SET v = 1 WHERE id = 7');
    await open.query('COMMIT');
    await eventually('the rows come', () => one.events.some((event) => event.partitionkey === '{"id":5000}'));
    await settle(one, db.client);
    await one.rowsDone();
    await expectEqual(one, db.client, 'public.late', "'id', id");

    await db.client.query('DROP TABLE late');
    await db.client.query("CREATE TABLE late (id int PRIMARY KEY, w text); INSERT INTO late VALUES (1, 'anew')");
    one.ordersChanged();
    await one.seen('anew');
    await settle(one, db.client);
    await one.rowsDone();
    await expectEqual(one, db.client, 'public.late', "'id', id");
    await one.stop();
    one.start();
    await settle(one, db.client);
    expect(
      one.events.filter(
        (event) => event.subject === 'public.late' && event.order === null && event.data.includes('anew'),
      ),
    ).toHaveLength(1);
  });

  it('nothing of another reading goes between the halves of a transaction, where whoever read the first was killed (Invariant 5)', async () => {
    const db = await fresh(`CREATE TABLE marks (m text PRIMARY KEY); CREATE TABLE halved (id int PRIMARY KEY, v text);
      INSERT INTO halved VALUES (0, 'first'); CREATE TABLE heap (a int);
      ALTER TABLE heap REPLICA IDENTITY FULL; INSERT INTO heap VALUES (1)`);
    const one = reading(db, { tables: ['public.*'] });
    one.start();
    await one.rowsDone();
    await one.stop();
    await db.client.query("INSERT INTO halved SELECT i, 'large' FROM generate_series(1, 5000) i");
    const before = one.events.length;
    one.start({
      beforeEach: () => {
        if (one.events.length > before) throw new Error('killed');
      },
    });
    await one.outcome();
    const killed = one.events.length;
    expect([killed > before, killed < before + 5000, one.positions.get('')!.includes('"rows"')]).toEqual([
      true,
      true,
      false,
    ]);
    // Readers are told to forget the one, and the other is read while the stream stands.
    await db.client.query(`ALTER PUBLICATION planasonix_${db.name} DROP TABLE halved`);
    one.orders.push({ id: 'snap_1', tables: ['public.heap'], where: null });
    one.start();
    await eventually('the order is over', () => one.closed.length > 0);
    await one.rowsDone();
    await settle(one, db.client);
    const after = one.events.slice(killed).map(({ data }) => JSON.parse(data.toString()) as { op: string });
    expect(after.slice(0, 5000).every(({ op }) => op === 'c')).toBe(true);
    expect(after.slice(5000).filter(({ op }) => op === 't')).toHaveLength(2);
    await expectEqual(one, db.client, 'public.halved', "'id', id");
  });

  it('a table that may not be published is refused with its fix, and taken up once it has a replica identity (trap 11)', async () => {
    const db = await fresh('CREATE TABLE marks (m text PRIMARY KEY)');
    const one = reading(db, { tables: ['public.*'] });
    one.start();
    await one.rowsDone();
    await db.client.query("CREATE TABLE loose (w text); INSERT INTO loose VALUES ('a')");
    one.ordersChanged();
    await eventually('it is refused', () =>
      one
        .progress()
        ?.tables?.some(
          ({ table, state, note }) =>
            table === 'public.loose' && state === 'refused' && note?.includes('REPLICA IDENTITY FULL'),
        ),
    );
    // Nor does it keep the others from going on when another worker takes the stream over.
    await one.stop();
    await db.client.query("INSERT INTO marks VALUES ('meanwhile')");
    one.start();
    await one.seen('meanwhile');
    expect(one.failure).toBeNull();
    await db.client.query("UPDATE loose SET w = 'b'");
    await db.client.query('ALTER TABLE loose ADD PRIMARY KEY (w)');
    one.ordersChanged();
    await eventually('its row is there', () => one.fold().has('public.loose {"w":"b"}'));
  });

  it('an order reads rows again by a condition, and can be taken back; a truncation in between is not undone', async () => {
    const db =
      await fresh(`${LEDGER}; CREATE TABLE "Mixed Case" ("A b" text COLLATE "en-x-icu", c numeric, PRIMARY KEY (c, "A b"));
      INSERT INTO "Mixed Case" SELECT chr(65 + i % 60) || i, i / 7.0 FROM generate_series(1, 500) i`);
    const one = reading(db, { tables: ['public.*'] });
    one.start();
    await one.rowsDone();
    const before = one.events.length;
    one.orders.push({ id: 'snap_some', tables: ['public.ledger', 'public."Mixed Case"'], where: '1 = 1' });
    one.orders.push({ id: 'snap_few', tables: ['public.ledger'], where: "note = 'first' AND id <= 100" });
    one.ordersChanged();
    await eventually('the few are done', () => one.closed.some((order) => order.id === 'snap_few'), {
      timeoutMs: 60_000,
    });
    const ids = one.events.slice(before).map((event) => event.id);
    expect(ids.filter((id) => id.startsWith('snap-snap_few.'))).toHaveLength(10);
    expect(ids.filter((id) => id.startsWith('snap-snap_some.'))).toHaveLength(ROWS + 500);
    await db.client.query('TRUNCATE ledger');
    await db.client.query("INSERT INTO ledger VALUES (1, nextval('versions'), 'after', NULL)");
    await settle(one, db.client);
    await expectEqual(one, db.client, 'public.ledger', "'id', id");
    expect([...one.fold().keys()].filter((at) => at.startsWith('public.Mixed Case '))).toHaveLength(500);
    expectUniqueIds(one);
  });

  it('an order that was over before anybody looked at it is shown', async () => {
    const db = await fresh(LEDGER);
    const one = reading(db, { tables: ['public.*'], snapshot: 'never' });
    one.start();
    await eventually('it reads', () => one.lsn !== '0/0');
    await settle(one, db.client);
    one.orders.push({ id: 'snap_quick', tables: ['public.ledger'], where: null });
    one.ordersChanged();
    await eventually('it is done', () => one.closed.some((order) => order.id === 'snap_quick'));
    const shown = { table: 'public.ledger', order: 'snap_quick', state: 'done', rows_done: ROWS };
    expect(one.progress()).toMatchObject({ state: 'done', tables: [shown] });
    // It is forgotten by now, and its rows have been read all the same.
    await settle(one, db.client);
    expect(one.progress()).toMatchObject({ rows_done: ROWS });
  });

  it('an order that is read anew, after a position that was set, brings rows with other ids (Invariant 4)', async () => {
    const db = await fresh(LEDGER);
    const one = reading(db, { tables: ['public.*'], snapshot: 'never' });
    one.orders.push({ id: 'snap_anew', tables: ['public.ledger'], where: null });
    const killed = (): void => {
      if (one.events.length > 0) throw new Error('killed');
    };
    one.start({ beforeEach: killed });
    await one.outcome();
    const before = one.events.length;
    expect(before).toBeGreaterThan(0);
    const { lsn, ...rest } = JSON.parse(one.positions.get('')!) as { lsn: string; rows?: object };
    one.positions.set('', JSON.stringify({ ...rest, lsn, rows: undefined }));
    one.start();
    await eventually('it is done', () => one.closed.some((order) => order.id === 'snap_anew'));
    expect(one.events).toHaveLength(before + ROWS);
    expectUniqueIds(one);
  });
});
