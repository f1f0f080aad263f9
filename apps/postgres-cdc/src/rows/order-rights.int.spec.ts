import { eventually } from '@planasonix/testing';
import type { TrialStream } from '../trial/trial-stream.js';
import { settle, sourceUnderTest, type Database } from './source-under-test.js';

jest.setTimeout(120_000);

const { fresh, reading } = sourceUnderTest();
const LOGIN = { user: 'plain', password: 'plain' };

describe('an order whose rows the stream’s user may not read', () => {
  /** A stream of changes alone, which needs no right to read its tables. */
  async function changesAlone(rows: string): Promise<{ db: Database; one: TrialStream }> {
    const db =
      await fresh(`DO $$ BEGIN CREATE ROLE plain LOGIN REPLICATION PASSWORD 'plain'; EXCEPTION WHEN duplicate_object THEN END $$;
      CREATE TABLE marks (m text PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY, v text);
      INSERT INTO t ${rows}; ANALYZE t; CREATE PUBLICATION theirs FOR ALL TABLES`);
    const config = { tables: ['public.*'], snapshot: 'never', publication: 'theirs', logical_messages: false };
    const one = reading(db, { ...config, snapshot_max_rows_per_second: 20_000 }, LOGIN);
    one.start();
    await eventually('it runs', () => one.connected || one.failure !== null);
    await settle(one, db.client);
    return { db, one };
  }

  async function expectRefused({ db, one }: Awaited<ReturnType<typeof changesAlone>>, why: string): Promise<void> {
    await eventually('it is over', () => one.closed.length > 0 || one.failure !== null);
    expect([one.failure, one.closed]).toEqual([null, [{ id: 'snap_1', failed: expect.stringContaining(why) }]]);
    await settle(one, db.client);
  }

  it.each([
    ['without the right', 'SELECT 1', null, 'may not read "public"."t"'],
    ['with a condition', 'SELECT 1', 'id = 1', 'may not read "public"."t"'],
    [
      'behind row security',
      'GRANT SELECT ON t TO plain; ALTER TABLE t ENABLE ROW LEVEL SECURITY',
      null,
      'Row security would hide rows of "public"."t"',
    ],
  ])('is refused, %s; the stream goes on', async (_, how, where, why) => {
    const { db, one } = await changesAlone("VALUES (1, 'a')");
    await db.client.query(how);
    const order = { tables: ['public.t'], where };
    const found = await one.look((source) => source.checkOrder!(order, AbortSignal.timeout(8000)));
    expect(found).toMatchObject([{ code: 'permission_denied', message: expect.stringContaining(why), fix: expect.stringMatching(/GRANT|BYPASSRLS/) }]); // prettier-ignore
    one.orders.push({ id: 'snap_1', ...order });
    one.ordersChanged();
    await expectRefused({ db, one }, why);
  });

  it.each([null, 'id > 0'])('that is lost amid it ends it, and not the stream (condition: %s)', async (where) => {
    const { db, one } = await changesAlone("SELECT i, 'a' FROM generate_series(1, 45000) i");
    await db.client.query('GRANT SELECT ON t TO plain');
    one.orders.push({ id: 'snap_1', tables: ['public.t'], where });
    one.ordersChanged();
    await eventually('rows come', () => one.events.some(({ order }) => order === null));
    await db.client.query('REVOKE SELECT ON t FROM plain');
    await expectRefused({ db, one }, "Rows of public.t can't be read: permission denied for table t");
  });

  it('that is lost before its table could be made ready ends it, and not the stream', async () => {
    const wide = "SELECT i, repeat('x', 400) FROM generate_series(1, 65000) i";
    const { db, one } = await changesAlone(wide);
    await db.client.query('GRANT SELECT ON t TO plain');
    const writer = await db.session();
    await writer.query("BEGIN; UPDATE t SET v = '' WHERE id = 1");
    one.orders.push({ id: 'snap_1', tables: ['public.t'], where: null });
    one.ordersChanged();
    await eventually('it waits', () => one.progress()?.tables?.some(({ note }) => note?.includes('open transactions')));
    await db.client.query('REVOKE SELECT ON t FROM plain');
    await writer.query('COMMIT');
    await expectRefused({ db, one }, "Rows of public.t can't be read: permission denied for table t");
  });
});
