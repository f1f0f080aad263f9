import { eventually } from '@planasonix/testing';
import type { TrialStream } from './trial/trial-stream.js';
import { expectEqual, settle, sourceUnderTest } from './rows/source-under-test.js';

jest.setTimeout(120_000);

const { fresh, reading } = sourceUnderTest();
const SETUP = `CREATE TABLE marks (m text PRIMARY KEY);
  CREATE TABLE users (id int PRIMARY KEY, name text, secret text, ssn text);
  INSERT INTO users SELECT i, 'name', 'hidden-row', 'hidden-ssn' FROM generate_series(1, 20) i`;
const excluding = (...secret: string[]) => ({ tables: ['public.*'], exclude_columns: { 'public.users': secret } });
const REFUSED = { code: 'config_invalid', recourse: 'fatal' };
const leaked = (one: TrialStream) => one.events.filter(({ data }) => data.includes('hidden-')).length;
/** As somebody sees it who looks at a stream that nobody reads. */
const found = async (one: TrialStream) => {
  await one.stop();
  return one.check();
};
const errors = async (one: TrialStream) => (await found(one)).filter(({ severity }) => severity === 'error');
const warnings = async (one: TrialStream) => (await found(one)).filter(({ severity }) => severity === 'warning');

describe('excluded columns never leave the worker', () => {
  it('a name that no column has is refused before anything is made, also beside one that is right', async () => {
    const db = await fresh(SETUP);
    for (const names of [
      ['secrt', 'hidden'],
      ['secret', 'ssn', 'snn'],
      ['"Secret"', 'secret', 'SNN'],
    ]) {
      const one = reading(db, excluding(...names));
      const [wrong] = await errors(one);
      expect(wrong).toMatchObject({ code: 'config_invalid', message: expect.stringContaining(names.at(-1)!) });
      expect(wrong!.message).toContain('public.users');
      one.start();
      expect(await one.outcome()).toMatchObject({ ...REFUSED, message: wrong!.message });
      expect(one.events).toEqual([]);
    }
    expect((await db.client.query('SELECT FROM pg_publication')).rowCount).toBe(0);
    expect(await errors(reading(db, excluding('SECRET', '"ssn"')))).toEqual([]);
  });

  it('a name under exclude_tables that no table has is said', async () => {
    const db = await fresh(SETUP);
    const one = reading(db, { tables: ['public.*'], exclude_tables: ['public.usrs', 'public.marks'] });
    expect(await warnings(one)).toMatchObject([
      { code: 'exclude_tables_unused', message: expect.stringMatching(/"usrs"(?!.*marks)/) },
    ]);
  });

  it.each([[['secret']], [['secret', 'ssn']]])(
    '%j: one that is renamed ends the stream before a change of it; both names side by side, and it goes on',
    async (names) => {
      const hide = names.includes('ssn') ? '' : "UPDATE users SET ssn = 'open';";
      const db = await fresh(`${SETUP}; ${hide}`);
      const one = reading(db, excluding(...names));
      one.start();
      await one.rowsDone();
      await db.client.query("UPDATE users SET secret = 'hidden-before' WHERE id = 1");
      await settle(one, db.client);
      await db.client.query(
        "ALTER TABLE users RENAME secret TO secret_v1; UPDATE users SET secret_v1 = 'hidden-after'",
      );
      expect(await one.outcome()).toMatchObject({ ...REFUSED, message: expect.stringContaining('secret_v1') });
      expect(await errors(one)).toMatchObject([{ code: 'config_invalid', fix: expect.stringContaining('secret_v1') }]);
      one.start();
      expect(await one.outcome()).toMatchObject(REFUSED);
      one.configure(excluding(...names, 'secret_v1'));
      expect(await errors(one)).toEqual([]);
      one.start();
      await db.client.query("UPDATE users SET name = 'later'");
      await one.seen('later');
      await settle(one, db.client);
      expect(leaked(one)).toBe(0);
      await one.stop();
      one.start({ onLost: 'resnapshot' });
      await one.rowsDone();
      expect(leaked(one)).toBe(0);
    },
  );

  it('one that is renamed, also to and fro, while nobody reads: its changes of then do not come either', async () => {
    const db = await fresh(SETUP);
    const one = reading(db, excluding('secret', 'ssn'));
    one.start();
    await one.rowsDone();
    await settle(one, db.client);
    await one.stop();
    await db.client.query("UPDATE users SET secret = 'hidden-old' WHERE id = 1");
    await db.client.query("ALTER TABLE users RENAME secret TO s2; UPDATE users SET s2 = 'hidden-new' WHERE id = 2");
    one.start();
    expect(await one.outcome()).toMatchObject({ ...REFUSED, message: expect.stringContaining('s2') });
    await db.client.query('ALTER TABLE users RENAME s2 TO secret');
    expect(await errors(one)).toEqual([]);
    one.start();
    expect(await one.outcome()).toMatchObject({ ...REFUSED, message: expect.stringContaining('s2') });
    one.configure(excluding('secret', 's2', 'ssn'));
    one.start();
    await settle(one, db.client);
    expect(leaked(one)).toBe(0);
    expect(await warnings(one)).toMatchObject([{ code: 'exclude_columns_unused' }]);
  });

  it('names that are exchanged for those of others', async () => {
    const db = await fresh(SETUP);
    const one = reading(db, excluding('secret', 'ssn'));
    one.start();
    await one.rowsDone();
    await db.client.query(`ALTER TABLE users RENAME secret TO s2; ALTER TABLE users RENAME name TO secret;
      ALTER TABLE users RENAME s2 TO name; UPDATE users SET name = 'hidden-exchanged'`);
    expect(await one.outcome()).toMatchObject(REFUSED);
    expect(leaked(one)).toBe(0);
  });

  it('one that is dropped ends nothing, be it the last; other names may change, and what is not excluded any more comes', async () => {
    const db = await fresh(SETUP);
    const one = reading(db, excluding('secret', 'ssn'));
    one.start();
    await one.rowsDone();
    await db.client.query("ALTER TABLE users DROP secret; UPDATE users SET name = 'one is gone'");
    await one.seen('one is gone');
    await db.client.query("ALTER TABLE users RENAME name TO called; UPDATE users SET called = 'renamed'");
    await one.seen('renamed');
    await one.stop();
    await db.client.query("ALTER TABLE users DROP ssn; UPDATE users SET called = 'both are gone'");
    expect(await errors(one)).toEqual([]);
    expect(await warnings(one)).toMatchObject([{ code: 'exclude_columns_unused' }]);
    one.start();
    await one.seen('both are gone');
    await settle(one, db.client);
    await one.stop();
    await db.client.query("ALTER TABLE users ADD extra text DEFAULT 'none'; UPDATE users SET called = 'one more'");
    one.start();
    await one.seen('one more');
    await db.client.query("ALTER TABLE users ADD ssn text; UPDATE users SET ssn = 'hidden-again', called = 'again'");
    await one.seen('again');
    expect(leaked(one)).toBe(0);
    await db.client.query('ALTER TABLE users DROP ssn');
    await settle(one, db.client);
    await expectEqual(one, db.client, 'public.users', "'id', id");
    expect(leaked(one)).toBe(0);
  });

  it('what the user takes out of the config comes from then on', async () => {
    const db = await fresh(SETUP);
    const one = reading(db, excluding('secret', 'ssn'));
    one.start();
    await one.rowsDone();
    await one.stop();
    one.configure(excluding('ssn'));
    expect(await errors(one)).toEqual([]);
    one.start();
    await db.client.query("UPDATE users SET secret = 'open'");
    await one.seen('open');
    expect(leaked(one)).toBe(0);
  });

  it('rows that are ordered once it was renamed do not come', async () => {
    const db = await fresh(SETUP);
    const one = reading(db, { ...excluding('secret', 'ssn'), snapshot: 'never' });
    one.start();
    await eventually('it reads', () => Promise.resolve(one.connected));
    await db.client.query('ALTER TABLE users RENAME secret TO secret_v1');
    one.orders.push({ id: 'order', tables: ['public.users'], where: null });
    one.ordersChanged();
    expect(await one.outcome()).toMatchObject({ ...REFUSED, message: expect.stringContaining('secret_v1') });
    expect(leaked(one)).toBe(0);
  });

  it('a table of later without such a column, whose changes a publication of the user sends at once, ends the stream', async () => {
    const db = await fresh(`${SETUP}; CREATE PUBLICATION theirs FOR ALL TABLES`);
    const exclude_columns = { 'public.users': ['secret', 'ssn'], 'public.late': ['secret'] };
    const one = reading(db, { tables: ['public.*'], publication: 'theirs', exclude_columns });
    one.start();
    await one.rowsDone();
    await db.client.query(
      "BEGIN; CREATE TABLE late (id int PRIMARY KEY, scret text); INSERT INTO late VALUES (1, 'hidden-late'); COMMIT",
    );
    expect(await one.outcome()).toMatchObject({ ...REFUSED, message: expect.stringContaining('public.late') });
    expect(leaked(one)).toBe(0);
  });

  it('a table of later without such a column is refused by itself; one that is renamed keeps what was excluded, also after a stop', async () => {
    const db = await fresh(`${SETUP}; ALTER TABLE users RENAME TO people`);
    const one = reading(db, {
      tables: ['public.*'],
      exclude_columns: { 'public.people': ['secret', 'ssn'], 'public.late': ['secret'] },
    });
    one.start();
    await one.rowsDone();
    await db.client.query(
      "CREATE TABLE late (id int PRIMARY KEY, scret text); INSERT INTO late VALUES (1, 'hidden-late')",
    );
    one.ordersChanged();
    const refused = () => one.progress()?.tables?.find(({ state }) => state === 'refused');
    await eventually('it is refused', () => refused()?.note?.includes('public.late'));
    await db.client.query('DROP TABLE late; ALTER TABLE people RENAME TO folk');
    await one.stop();
    one.start();
    await db.client.query("UPDATE folk SET secret = 'hidden-folk', name = 'of folk'");
    await one.seen('of folk');
    await settle(one, db.client);
    expect(leaked(one)).toBe(0);
  });
});
