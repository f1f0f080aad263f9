import { eventually } from '@planasonix/testing';
import { LEGS } from '../trial/legs.js';
import { MARKS, serverUnderTest, settle } from './server-under-test.js';

jest.setTimeout(120_000);

/** What a user keeps back never leaves the worker, in no event. */
describe.each(LEGS)('columns that are left out, at $name', (leg) => {
  const one = serverUnderTest(leg);
  let databases = 0;

  beforeAll(() => one.db.query(MARKS));

  async function table(): Promise<string> {
    const database = `x${++databases}`;
    await one.db.query(`CREATE DATABASE ${database}; USE ${database};
      CREATE TABLE t (id INT PRIMARY KEY, secret VARCHAR(20), v INT); INSERT INTO t VALUES (1, 'canary', 1)`);
    return `${database}.t`;
  }
  const of = (name: string, columns: readonly string[]) =>
    one.stream({ tables: [name, 'm.marks'], exclude_columns: { [name]: columns } });

  it('a name that no column has refuses a new stream, and is a warning later, when it may be of a time before', async () => {
    const name = await table();
    const wrong = of(name, ['secret', 'secrte']);
    const found = async () => (await wrong.check()).filter(({ message }) => message.includes('secrte'));
    expect(await found()).toMatchObject([{ code: 'config_invalid', severity: 'error' }]);
    wrong.start();
    await wrong.begun();
    await wrong.stop();
    expect(await found()).toMatchObject([{ code: 'exclude_columns_unused', severity: 'warning' }]);
  });

  it.each([
    ['RENAME COLUMN secret TO told', true],
    ['CHANGE secret told VARCHAR(40) FIRST', false],
    ['ADD w INT, CHANGE COLUMN `secret` told LONGTEXT', true],
  ] as const)('one that gets another name ends the stream before a row of it leaves: %s', async (how, rests) => {
    const name = await table();
    const stream = of(name, ['Secret']);
    stream.start();
    await stream.begun();
    if (rests) await stream.stop();
    await one.db.query(`ALTER TABLE t ${how}`);
    await one.db.query("UPDATE t SET told = 'canary 2'");
    if (rests) stream.start();
    expect(await eventually('it ends', () => stream.failure)).toMatchObject({
      code: 'config_invalid',
      hint: expect.stringContaining('["secret","told"]') as string,
    });
    expect(stream.events.some(({ data }) => data.includes('canary'))).toBe(false);

    stream.config = { ...stream.config, exclude_columns: { [name]: ['secret', 'told'] } };
    stream.start();
    await settle(stream, one.db);
    expect(stream.events.some(({ data }) => data.includes('canary'))).toBe(false);
    await one.db.query('ALTER TABLE t DROP COLUMN told; UPDATE t SET v = 2');
    await settle(stream, one.db);
    expect(stream.failure).toBeNull();
  });
});
