import { endedOrders } from '@planasonix/rows';
import { eventually } from '@planasonix/testing';
import { PAUSING, rowFeedUnderTest } from './row-feed-under-test.js';

jest.setTimeout(120_000);

const ROWS = 45_000;
/** A real server's rows; of the stream there is only what a test says that it has delivered. */
describe('what the stream says between two chunks', () => {
  const { table, reading, writing, ends, connect, query, atOnce } = rowFeedUnderTest();

  const key = (id: number) => JSON.stringify({ id });

  it('keeps how far a table is that waits for its turn after an interruption (trap 5)', async () => {
    const { feed } = await reading({});
    const lanes = [{ after: ['41'], upto: null, chunk: 3 }];
    const begun = ['first', 'second'].map((name, i) => ({
      ...{ oid: i + 1, table: JSON.stringify(['public', name]), order: null, id: 'begun', attempt: 1, key: ['id'] },
      ...{ lanes, again: [], rows: 41, empties: false, emptied: false, done: false },
    }));
    feed.restore({ tables: begun, sifts: [] }, []);
    expect(feed.state?.tables).toEqual(begun.map((table) => ({ ...table, attempt: 2 })));
  });

  it('says which orders have something left, also where that waits for its turn (Invariant 7)', async () => {
    const { feed, order } = await reading({});
    const done = { oid: 1, table: JSON.stringify(['public', 'first']), order: 'snap_1', id: 'begun', attempt: 1 };
    const state = { ...done, ...{ key: ['id'], lanes: [], again: [], rows: 41, empties: false, emptied: false } };
    const many = Array.from({ length: 300 }, (_, i) => ({ ...state, oid: i + 10, order: 'snap_0', done: true }));
    feed.restore({ tables: [...many, { ...state, done: true }], sifts: [], open: ['snap_0', 'snap_1'] }, []);
    expect(feed.finished.last).toHaveLength(200);
    feed.forget(({ order }) => order === 'snap_0');
    expect(feed.finished.last.at(-1)!.progress).toMatchObject({
      table: 'public.first',
      order: 'snap_1',
      state: 'done',
    });
    expect(endedOrders(feed.state!)).toEqual(new Set(['snap_1']));
    order(2, 'second', 'snap_1');
    expect([feed.state!.tables.length, endedOrders(feed.state!)]).toEqual([1, new Set()]);
  });

  it('shows all tables of a wide order when they are over', async () => {
    const { feed, order, take } = await reading({});
    const names = Array.from({ length: 30 }, (_, i) => `wide_${i}`);
    for (const name of names) order(await table(name, 1, 'a'), name, 'snap_1');
    await eventually('they are read', () => take().size > 0 && feed.idle);
    expect(feed.finished.last.map((task) => task.progress.table).sort()).toEqual(
      names.map((one) => `public.${one}`).sort(),
    );
  });

  it('a key that moves behind the readers of an order, before its turn comes again, is read by itself (traps 5, 14)', async () => {
    const { feed, says } = await reading({ snapshot_readers: 1 });
    const lanes = [{ after: ['41'], upto: null, chunk: 3 }];
    const begun = [1, 2].map((oid) => ({
      ...{ oid, table: JSON.stringify(['public', `o${oid}`]), order: 'snap_1', id: 'begun', attempt: 1, key: ['id'] },
      ...{ lanes, again: [], rows: 41, empties: false, emptied: false, done: false },
    }));
    feed.restore({ tables: begun, sifts: [] }, [{ id: 'snap_1', tables: ['public.*'], where: null }]);
    says(2, { xid: 7, key: key(5), moved: true, hole: ['5'] });
    expect(feed.state?.tables.map(({ again }) => again)).toEqual([[], [['5']]]);
  });

  it.each(['new', 'gone on with'])(
    'an order with a condition, %s, ends where its table has no key (Invariant 2)',
    async (which) => {
      const name = `bare_${which.length}`;
      const oid = await table(name, 3, 'a');
      await query(`ALTER TABLE ${name} DROP CONSTRAINT ${name}_pkey, REPLICA IDENTITY FULL`);
      const { feed, seen, take } = await reading({});
      const [id, where] = ['snap_1', 'id = 2'];
      if (which === 'new')
        feed.add({ ...{ oid, schema: 'public', name, order: id, where, id }, empties: false, keyless: true });
      else {
        const begun = { oid, table: JSON.stringify(['public', name]), order: id, id, attempt: 1, key: [], lanes: [] };
        const state = { ...begun, again: [], rows: 1, empties: false, emptied: false, done: false };
        feed.restore({ tables: [state], sifts: [] }, [{ id, tables: [`public.${name}`], where }]);
      }
      feed.start();
      feed.stands(true);
      await eventually('it is refused', () => take().size > 0 || seen.refused.length > 0);
      expect(seen.refused).toEqual([expect.stringContaining(`snap_1: public.${name} has no key`)]);
      expect(seen.events).toEqual([]);
      expect(feed.state?.sifts ?? []).toEqual([]);
    },
  );

  it.each([
    ['more than can be remembered', 200_001, (id: number) => ({ key: key(id) })],
    ['more moved keys than are kept', 5_001, (id: number) => ({ key: key(id), moved: true, hole: [String(id)] })],
  ] as const)('%s, while no chunk is being read: the table is opened again (Invariant 6)', async (_, count, told) => {
    const name = `forgotten_${count}`;
    const oid = await table(name, ROWS, 'a');
    const one = await reading(PAUSING);
    const task = one.order(oid, name, 'snap_1');
    await eventually('it pauses after a chunk', () => one.take().size === 20_000 && one.pause.waiting === 1);
    const xid = await writing(`UPDATE ${name} SET v = 'b' WHERE id = ${ROWS}`);
    await query('COMMIT');
    for (let i = 0; i < count; i++) one.says(oid, { xid, ...told(i) });
    expect(task.share()).toBeNull();
    one.pause.open();
    await eventually('all rows are there', () => one.take().size === ROWS && one.feed.idle);
    expect([task.phase, task.state.attempt]).toEqual(['done', 1]);
  });

  it('stale rows that are too many to be read by themselves: their chunk is read again, and the table is not begun over (trap 14)', async () => {
    const oid = await table('stale', ROWS, 'f'.repeat(600));
    const one = await reading({ snapshot_readers: 1 });
    const task = one.order(oid, 'stale', 'snap_1');
    await eventually('as many pieces wait as may', () => one.feed['runs'][0]?.pieces.length === 8);
    const xid = await writing(`UPDATE stale SET v = 'b' WHERE id = 1`);
    await query('COMMIT');
    for (let id = 1; id <= ROWS; id++) one.says(oid, { xid, key: key(id), hole: [String(id)] });
    await eventually('all rows are there', () => one.take().size === ROWS && one.feed.idle);
    expect([task.phase, task.state.attempt, one.seen.events.length]).toEqual(['done', 1, ROWS]);
  });

  it('a row that is to be read by itself is not forgotten while its transaction is not visible (traps 13, 14)', async () => {
    const oid = await table('hidden', ROWS, 'a');
    const one = await reading(PAUSING);
    one.order(oid, 'hidden', 'snap_1');
    await eventually('it pauses after a chunk', () => one.take().size === 20_000 && one.pause.waiting === 1);
    const writer = await connect();
    ends.push(() => writer.end());
    const xid = await writing('UPDATE hidden SET id = 1000009 WHERE id = 9', writer);
    // Delivered, as where the commit waits for a synchronous standby.
    one.says(oid, { op: 'd', xid, key: key(9) });
    one.says(oid, { op: 'c', xid, key: key(1_000_009), moved: true, hole: ['1000009'] });
    const before = one.seen.retries;
    one.pause.open();
    await eventually('it was asked for', () => one.take().size === ROWS && one.seen.retries > before);
    one.take();
    expect(one.feed.idle).toBe(false);
    await writer.query('COMMIT');
    await eventually('the rows are in', () => one.take().has(key(1_000_009)) && one.feed.idle);
  });

  it('who wrote before a table that is being opened was begun over is waited out too (traps 12, 13)', async () => {
    const oid = await table('begun_over', 70_000, 'f'.repeat(400));
    const one = await reading({ snapshot_readers: 2 });
    const task = one.order(oid, 'begun_over', 'snap_1');
    await eventually('its lanes are being cut', () => one.cut.waiting === 1);
    const writer = await connect();
    ends.push(() => writer.end());
    const xid = await writing('UPDATE begun_over SET id = id + 1000000 WHERE id <= 5001', writer);
    for (let id = 1_000_001; id <= 1_005_001; id++)
      one.says(oid, { op: 'c', xid, key: key(id), moved: true, hole: [String(id)] });
    one.cut.open();
    await eventually('it waits for the writer', () => (one.take(), task.note !== null));
    await writer.query('COMMIT');
    await eventually('the rows are in', () => one.take().size === 70_000 && one.feed.idle);
    expect(one.take().has(key(1_000_009))).toBe(true);
  });

  it('while a writer keeps a table others are read, and what is visible is forgotten of it; a row that is stale when he ends does not come (traps 12, 13)', async () => {
    const [oid, other] = [await table('long', 100, 'a'), await table('long_2', 10, 'a')];
    const one = await reading({ snapshot_readers: 1 });
    const [writer, held] = [await connect(), await connect()];
    ends.push(() => Promise.all([writer.end(), held.end()]));
    await writing('UPDATE long SET v = v WHERE id = 1', writer);
    const task = one.order(oid, 'long', 'snap_1');
    const next = one.order(other, 'long_2', 'snap_2');
    await eventually('the next one is done', () => (one.take(), next.phase === 'done'));
    const says = (xid: number, id: number) => one.says(oid, { op: 'u', xid, key: key(id) });
    // The stream tells of it, and nobody sees it yet: so it is with a commit that waits for a standby.
    says(await writing("UPDATE long SET v = 'b' WHERE id = 99", held), 99);
    says(await writing("UPDATE long SET v = 'b' WHERE id = 98"), 98);
    await query('COMMIT');
    await eventually('what is visible is forgotten', () => task.watch['recent'].size === 1);
    expect([task.kept, task.note]).toEqual(['writers', expect.stringContaining('open transactions')]);
    await writer.query('COMMIT');
    await eventually('its rows are in', () => one.take().has(key(98)) && task.phase === 'done');
    expect([one.take().has(key(99)), one.take().size]).toEqual([false, 99]);
    await held.query('COMMIT');
  });

  it.each([
    ['dropped', 'DROP TABLE waited_dropped', ['cancelled', 0, []]],
    ['renamed', 'ALTER TABLE waited_renamed RENAME TO waited_2', ['cancelled', 0, ['public.waited_2']]],
    ['changed', 'ALTER TABLE waited_changed RENAME COLUMN id TO key', ['done', 70_000, []]],
  ] as const)('a table that is %s after its writers were waited out breaks nothing', async (how, sql, expected) => {
    const name = `waited_${how}`;
    const oid = await table(name, 70_000, 'f'.repeat(400));
    const one = await reading({ snapshot_readers: 2 });
    const wish = { oid, schema: 'public', name, order: null, where: null, id: 's', empties: false, keyless: false };
    one.feed.add(wish);
    one.feed.start();
    await eventually('its lanes are being cut', () => one.cut.waiting === 1);
    await query(sql);
    one.cut.open();
    await eventually('it is over', () => (one.take(), one.feed.idle));
    expect([one.feed.all[0]!.phase, [...one.take()].filter(Boolean).length, one.seen.renamed]).toEqual(expected);
  });

  it('an order that is taken back while its table is being opened stays so', async () => {
    const [oid, other] = [await table('taken_back', 70_000, 'f'.repeat(400)), await table('other', 10, 'a')];
    const one = await reading({ snapshot_readers: 2 });
    const task = one.order(oid, 'taken_back', 'snap_1');
    await eventually('its lanes are being cut', () => one.cut.waiting === 1);
    one.feed.cancel((wish) => wish.order === 'snap_1');
    one.cut.open();
    const next = one.order(other, 'other', 'snap_2');
    await eventually('the next one is done', () => (one.take(), next.phase === 'done'));
    expect([task.phase, one.seen.events.length]).toEqual(['cancelled', 10]);
  });

  it.each(['taken back', 'emptied'])(
    'a table that is %s while its reader is held up: the reader goes on (Invariant 6)',
    async (how) => {
      const name = how.replace(' ', '_') + '_held';
      const [oid, other] = [await table(name, ROWS, 'f'.repeat(600)), await table(`${name}_2`, 10, 'a')];
      const one = await reading({ snapshot_readers: 1 });
      one.order(oid, name, 'snap_1');
      await eventually('as many pieces wait as may', () => one.feed['runs'][0]?.pieces.length === 8);
      if (how === 'taken back') one.feed.cancel((wish) => wish.order === 'snap_1');
      else {
        const xid = await writing(`INSERT INTO ${name}_2 VALUES (11, 'b')`);
        await query('COMMIT');
        one.says(oid, { op: 't', xid, key: '' });
      }
      const next = one.order(other, `${name}_2`, 'snap_2');
      await eventually('the next one is done', () => (one.take(), next.phase === 'done'));
      await eventually('no snapshot stays open', () => (one.take(), one.feed.idle));
    },
  );

  it('an order that is taken back while the server looks for its next row: that ends, and the reader goes on', async () => {
    const [oid, other] = [await table('sparse', ROWS, 'a'), await table('sparse_2', 10, 'a')];
    const one = await reading({ snapshot_readers: 1 });
    const at = { schema: 'public', id: 'snap_1', empties: false, keyless: false };
    one.feed.add({ ...at, oid, name: 'sparse', order: 'snap_1', where: 'pg_sleep(0.01) IS NULL' });
    one.feed.start();
    const busy = async (): Promise<number> =>
      (await query("SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'COPY%pg_sleep%'")).rowCount!; // prettier-ignore
    await eventually('the server looks for a row', async () => (await busy()) === 1);
    one.feed.cancel((wish) => wish.order === 'snap_1');
    await eventually('the server is at rest', async () => (await busy()) === 0);
    const next = one.order(other, 'sparse_2', 'snap_2');
    await eventually('the next one is done', () => (one.take(), next.phase === 'done'));
    expect(one.take().size).toBe(10);
  });

  it('an order that is taken back before it has said that readers forget the table says nothing', async () => {
    const oid = await table('kept', 10, 'a');
    const one = await reading({});
    const task = one.order(oid, 'kept', 'snap_1', true);
    one.feed.cancel((wish) => wish.order === 'snap_1');
    one.take();
    expect([task.phase, one.seen.events.length]).toEqual(['cancelled', 0]);
  });

  it('an order whose tables are all dropped is refused; one of which a table is left is not', async () => {
    const [oid, other] = [await table('dropped', ROWS, 'a'), await table('left_over', 10, 'a')];
    const one = await reading(PAUSING);
    one.order(oid, 'dropped', 'snap_1');
    await eventually('it pauses after a chunk', () => one.take().size === 20_000 && one.pause.waiting === 1);
    const [both, left] = [one.order(oid, 'dropped', 'snap_2'), one.order(other, 'left_over', 'snap_2')];
    await query('DROP TABLE dropped');
    one.pause.open();
    await eventually('all is over', () => (one.take(), one.feed.idle));
    expect([both.phase, left.phase]).toEqual(['cancelled', 'done']);
    expect(both.progress.note).toBe('public.dropped was dropped before all of its rows were read.');
    expect(one.seen.refused).toEqual(['snap_1: public.dropped was dropped before all of its rows were read.']);
  });

  it('a rate holds from the first row on, for all readers together', async () => {
    const one = await reading({ snapshot_readers: 3, snapshot_max_rows_per_second: 100 });
    for (const name of ['rate_1', 'rate_2', 'rate_3']) one.order(await table(name, 200, 'a'), name, 'snap_1');
    for (const rows of [25, 50, 75]) {
      await eventually('its readers pause', () => one.pause.waiting === (3 * rows) / 25);
      expect(one.take().size).toBe(rows);
      one.pause.letThrough();
    }
    one.pause.open();
    await eventually('all rows are there', () => one.take().size === 200 && one.feed.idle);
    expect(one.seen.events).toHaveLength(600);
  });

  it('a chunk that turns out to be void counts against the rate as well: nothing is read again before its time', async () => {
    const [oid, other] = [await table('paced', ROWS, 'f'.repeat(600)), await table('paced_2', 1, 'a')];
    const one = await reading(PAUSING);
    one.order(oid, 'paced', 'snap_1');
    await eventually('as many pieces wait as may', () => one.feed['runs'][0]?.pieces.length === 8);
    const xid = await writing("INSERT INTO paced_2 VALUES (2, 'b')");
    await query('COMMIT');
    one.says(oid, { op: 't', xid, key: '' });
    await eventually('it pauses', () => one.take().size === 0 && one.pause.waiting === 1);
    expect(other).toBeGreaterThan(oid);
  });

  it('a table without a key is read no faster than it may be, and not to its end where nobody wants it', async () => {
    await query(`CREATE TABLE heap (v text); INSERT INTO heap SELECT repeat('f', 600) FROM generate_series(1, ${ROWS});
      ALTER TABLE heap REPLICA IDENTITY FULL; ANALYZE heap`);
    const { rows } = await query<{ oid: number }>("SELECT 'heap'::regclass::oid::int AS oid");
    const one = await reading({ snapshot_readers: 1, snapshot_max_rows_per_second: 10 });
    const task = one.order(rows[0]!.oid, 'heap', 'snap_1');
    one.feed.stands(true);
    await eventually('it pauses', () => (one.take(), one.pause.waiting === 1));
    expect(one.seen.events).toHaveLength(5);
    const sent = async () =>
      (
        await query<{ n: string }>(
          "SELECT tuples_processed AS n FROM pg_stat_progress_copy WHERE relid = 0 OR type = 'PIPE'",
        )
      ).rows;
    const [copy] = await sent();
    // What the sockets hold is read already.
    expect(Number(copy!.n)).toBeLessThan(ROWS);
    one.feed.cancel((wish) => wish.order === 'snap_1');
    one.pause.letThrough();
    await eventually('the server reads no more of it', async () => (one.take(), (await sent()).length === 0));
    expect([task.phase, one.seen.events.length < 1000, one.feed['runs'].length]).toEqual(['cancelled', true, 0]);
  });

  it('reads by as many sessions at once as `snapshot_readers` says, and never by more', async () => {
    const oids = [await table('side', 70_000, 'f'.repeat(1000)), await table('side_2', 70_000, 'f'.repeat(1000))];
    const one = await reading({ snapshot_readers: 3 });
    one.cut.open();
    // Three lanes each: there is work for six.
    for (const [i, oid] of oids.entries()) one.order(oid, `side${i === 0 ? '' : '_2'}`, 'snap_1');
    const lanes = () => one.feed.all.map(({ state }) => state.lanes.length);
    await eventually('all lanes are there', () => lanes().join() === '3,3');
    // Nobody takes pieces: whoever reads stands in the midst of its transaction.
    await eventually('three read at once', async () => (await atOnce()) === 3);
    let most = 0;
    await eventually('all rows are there', async () => {
      most = Math.max(most, await atOnce());
      one.take();
      return one.feed.idle;
    });
    expect([most, one.seen.events.length]).toEqual([3, 140_000]);
  });
});
