import { eventually } from '@planasonix/testing';
import { LEGS } from './trial/legs.js';
import type { TrialStream } from './trial/trial-stream.js';
import { expectEqual, MARKS, serverUnderTest, settle } from './rows/server-under-test.js';

jest.setTimeout(120_000);

/** MySQL has none. */
const VERSIONING = LEGS.filter(({ type }) => type === 'mariadb');

describe.each(VERSIONING)('tables of $name that keep old versions of their rows for a while', (leg) => {
  const one = serverUnderTest(leg);
  let schema = '';
  let n = 0;

  /** A stream that knows the table, and stopped. */
  async function stopped(snapshot = 'initial'): Promise<TrialStream> {
    schema = `v${++n}`;
    await one.db.query(`${MARKS}; CREATE DATABASE ${schema}; USE ${schema};
      CREATE TABLE t (id INT PRIMARY KEY, v INT); INSERT INTO t VALUES (1, 1), (2, 2)`);
    const stream = one.stream({ tables: [`${schema}.*`, 'm.marks'], snapshot });
    stream.start();
    await stream.begun();
    await settle(stream, one.db);
    await stream.stop();
    return stream;
  }
  const CHANGES = 'INSERT INTO t VALUES (3, 3); UPDATE t SET v = 9 WHERE id = 1; DELETE FROM t WHERE id = 2';
  const leavesOut = (stream: TrialStream, tables: string[]): void =>
    void (stream.config = { ...stream.config, exclude_tables: tables });

  it.each([
    ['altered', `ALTER TABLE t ADD SYSTEM VERSIONING; ${CHANGES}; ALTER TABLE t DROP SYSTEM VERSIONING`],
    ['made', `CREATE OR REPLACE TABLE t (id INT PRIMARY KEY, v INT) WITH SYSTEM VERSIONING; ${CHANGES}; ALTER TABLE t DROP SYSTEM VERSIONING`], // prettier-ignore
    ['renamed with that', `ALTER TABLE t ADD SYSTEM VERSIONING, RENAME TO u; INSERT INTO u VALUES (4, 4); ALTER TABLE u DROP SYSTEM VERSIONING, RENAME TO t`], // prettier-ignore
  ])('end the stream as of the event, and nothing is told wrongly: %s', async (_, statements) => {
    const stream = await stopped();
    await one.db.query(statements);
    const before = stream.events.length;
    stream.start();
    await eventually('it ends', () => stream.failure !== null);
    const failure = await stream.outcome();
    expect(failure).toMatchObject({ code: 'event_unsupported', hint: expect.stringContaining('exclude_tables') });
    expect(stream.events.length).toBe(before);
    leavesOut(stream, [`${schema}.t`, `${schema}.u`]);
    stream.start();
    await settle(stream, one.db);
    await stream.stop();
    leavesOut(stream, []);
    stream.start();
    await stream.begun();
    await one.db.query('UPDATE t SET v = v + 1');
    await settle(stream, one.db);
    expect(stream.failure).toBeNull();
    await expectEqual(stream, one.db, `${schema}.t`, 'id, v');
  });

  it('are read anew where the log says that they keep none any more, also without rows of the beginning', async () => {
    const stream = await stopped('never');
    leavesOut(stream, [`${schema}.t`]);
    await one.db.query('ALTER TABLE t ADD SYSTEM VERSIONING');
    stream.start();
    await settle(stream, one.db);
    await stream.stop();
    leavesOut(stream, []);
    await one.db.query(`${CHANGES}; ALTER TABLE t DROP SYSTEM VERSIONING`);
    stream.start();
    await settle(stream, one.db);
    await eventually('its rows are read', () => stream.fold().has(`${schema}.t {"id":3}`));
    await settle(stream, one.db);
    await stream.begun();
    await expectEqual(stream, one.db, `${schema}.t`, 'id, v');
  });
});
