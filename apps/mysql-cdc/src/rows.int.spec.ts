import { eventually, type Mysqld } from '@planasonix/testing';
import type { Connection } from 'mysql2/promise';
import { connectionOf, dial, FURTHER_LEGS } from './trial/legs.js';
import { killedAt } from './rows/server-under-test.js';
import { TrialStream } from './trial/trial-stream.js';

describe.each(FURTHER_LEGS)('rows of $name', ({ type, start }) => {
  let server: Mysqld;
  let db: Connection;
  let stream: TrialStream;

  beforeAll(async () => {
    server = await start();
    db = await dial(server);
  });
  afterEach(() => stream.stop());
  afterAll(async () => {
    await db.end();
    await server.stop();
  });

  const make = (id: string, config: object): TrialStream =>
    (stream = new TrialStream(id, { tables: ['r.*'], ...config }, connectionOf(server), type));

  async function table(name: string, count: number): Promise<void> {
    await db
      .query(`CREATE DATABASE IF NOT EXISTS r; USE r; CREATE OR REPLACE TABLE ${name} (id INT PRIMARY KEY, v INT)`)
      .catch(() => db.query(`DROP TABLE IF EXISTS ${name}; CREATE TABLE ${name} (id INT PRIMARY KEY, v INT)`));
    const values = Array.from({ length: count }, (_, i) => `(${i}, 0)`).join(',');
    await db.query(`INSERT INTO ${name} VALUES ${values}`);
  }

  it('and the changes after them fold to the table while writers write', async () => {
    await table('t', 5000);
    const writer = await dial(server);
    let writing = true;
    const writes = (async () => {
      for (let i = 0; writing; i++)
        await writer.query(
          `START TRANSACTION; UPDATE r.t SET v = v + 1 WHERE id IN (${i % 5000}, ${(i * 7) % 5000}); DELETE FROM r.t WHERE id = ${5000 + i - 3}; INSERT INTO r.t VALUES (${5000 + i}, 1); COMMIT`,
        );
    })();
    make('str_fold', {}).start();
    await stream.count(5200);
    writing = false;
    await writes;
    await writer.query('INSERT INTO r.t VALUES (-1, 99)');
    await stream.seen('"v":99');
    const [rows] = await db.query('SELECT id, v FROM r.t');
    const expected = (rows as { id: number; v: number }[]).map(
      ({ id, v }) => [`r.t {"id":${id}}`, `{"id":${id},"v":${v}}`] as const,
    );
    expect(new Map([...stream.fold()].sort())).toEqual(new Map([...expected].sort(([a], [b]) => (a < b ? -1 : 1))));
    expect(new Set(stream.events.map(({ id }) => id)).size).toBe(stream.events.length);
    await writer.end();
  });

  it('of a table that a later config adds are read, and of that table alone; so are those of one that was left out for a while', async () => {
    await db.query('DROP DATABASE IF EXISTS r');
    await table('t', 3000);
    await table('unasked', 2);
    make('str_later', { tables: ['r.t'] }).start();
    await stream.begun();
    await stream.stop();
    expect(stream.fold().size).toBe(3000);
    stream.config = { tables: ['r.*'] };
    // Before and after it is noted that the table is to be read.
    for (let batches = 1; batches < 5; batches++) {
      stream.start(null, killedAt(batches));
      await stream.outcome();
    }
    stream.start();
    await stream.begun();
    expect(stream.data().slice(3000)).toMatchObject([
      { op: 't', source: { table: 'unasked', snapshot: true } },
      ...[0, 1].map((id) => ({ op: 'r', after: { id, v: 0 } })),
    ]);
    await stream.stop();
    // Left out for a while, it lacks what was written meanwhile.
    stream.config = { tables: ['r.t'] };
    stream.start();
    await db.query('INSERT INTO r.unasked VALUES (100, 1); DELETE FROM r.unasked WHERE id = 0');
    await db.query('INSERT INTO r.t VALUES (100000, 4242)');
    await stream.seen('"v":4242');
    await stream.stop();
    stream.config = { tables: ['r.*'] };
    stream.start();
    await stream.begun();
    expect(stream.data().slice(3004)).toMatchObject([
      { op: 't', source: { table: 'unasked' } },
      ...[1, 100].map((id) => ({ op: 'r', after: { id } })),
    ]);
    expect(stream.fold().size).toBe(3003);
  });

  if (type === 'mariadb')
    it('of a table that a config adds are told in the words of the catalog, also where the reader ended before its first position', async () => {
      await db.query('DROP DATABASE IF EXISTS r');
      await table('t', 3);
      const uuid = (n: number): string => `00000000-0000-4000-8000-00000000000${n}`;
      await db.query(`CREATE TABLE r.later (id UUID PRIMARY KEY, v INT); INSERT INTO r.later VALUES ('${uuid(1)}', 0)`);
      make('str_words', { tables: ['r.t'] }).start();
      await stream.begun();
      await stream.stop();
      stream.config = { tables: ['r.*'] };
      // It has noted the table, and nothing else.
      stream.start(null, killedAt(2));
      await stream.outcome();
      expect(stream.positions.get('#asked')).toContain('"table":"later"');
      await db.query(`INSERT INTO r.later VALUES ('${uuid(2)}', 7)`);
      stream.start();
      await stream.begun();
      await db.query(`UPDATE r.later SET v = 8 WHERE id = '${uuid(1)}'`);
      await stream.seen('"v":8');
      const later = stream.data().filter(({ op, source }) => op !== 't' && source['table'] === 'later');
      expect(new Set(later.map(({ after }) => after!['id']))).toEqual(new Set([uuid(1), uuid(2)]));
      expect(later.at(-1)).toMatchObject({ op: 'u', after: { id: uuid(1), v: 8 } });
      expect([...stream.fold().keys()].filter((key) => key.startsWith('r.later '))).toHaveLength(2);
    });

  it('of the middle of what an earlier version was reading begin anew, and say so', async () => {
    await db.query('DROP DATABASE IF EXISTS r');
    await table('t', 10);
    make('str_old', { tables: ['r.t'] }).start();
    await stream.begun();
    await stream.stop();
    const { rows: _, ...position } = JSON.parse(stream.positions.get('')!) as Record<string, unknown>;
    stream.positions.set('', JSON.stringify({ ...position, phase: 'rows' }));
    stream.positions.set('#asked', JSON.stringify({ asked: [{ tables: ['r.t'], exclude_tables: [] }] }));
    stream.start();
    await stream.begun();
    expect(stream.data().map(({ op }) => op).join('')).toBe('r'.repeat(10) + 't' + 'r'.repeat(10)); // prettier-ignore
    await stream.stop();
    // One that streamed goes on.
    stream.positions.set('#asked', JSON.stringify({ asked: [{ tables: ['r.t'], exclude_tables: [] }] }));
    stream.start();
    await db.query('INSERT INTO r.t VALUES (77, 7)');
    await stream.count(22);
    expect(stream.data().at(-1)).toMatchObject({ op: 'c', after: { id: 77 } });
  });

  it('alone that are broken off go on behind, and are what they were at one place as long as they are not', async () => {
    await db.query('DROP DATABASE IF EXISTS r');
    await table('t', 5000);
    await table('u', 10);
    let written = false;
    make('str_alone', { snapshot: 'only' }).start(null, async () => {
      if (written || stream.events.length < 1000) return;
      written = true;
      await db.query('UPDATE r.t SET v = 1; UPDATE r.u SET v = 1');
    });
    expect(await stream.outcome()).toBeNull();
    expect(written).toBe(true);
    expect(stream.data().filter(({ after }) => after?.['v'] !== 0)).toEqual([]);
    expect(stream.events).toHaveLength(5010);
    make('str_alone_2', { snapshot: 'only' });
    for (let batches = 1; batches < 6; batches++) {
      stream.start(null, killedAt(batches));
      await stream.outcome();
    }
    stream.start();
    expect(await stream.outcome()).toBeNull();
    expect(stream.events).toHaveLength(5010);
    expect(stream.fold().size).toBe(5010);
    // Whoever brought them may have been killed before he said so (Invariant 7).
    stream.start();
    await eventually('nothing is left', () => stream.rowsOver);
    expect(await stream.outcome()).toBeNull();
  });

  it('alone that are broken off go on with the tables that are asked for then', async () => {
    await db.query('DROP DATABASE IF EXISTS r');
    await table('t', 5000);
    await table('u', 10);
    await table('w', 10);
    make('str_alone_3', { snapshot: 'only', tables: ['r.t', 'r.u'] }).start(null, killedAt(4));
    await stream.outcome();
    expect(stream.events).toHaveLength(1000);
    stream.config = { snapshot: 'only', tables: ['r.t', 'r.w'] };
    stream.start();
    expect(await stream.outcome()).toBeNull();
    const rows = (name: string) => [...stream.fold().keys()].filter((key) => key.startsWith(`r.${name} `)).length;
    expect(['t', 'u', 'w'].map(rows)).toEqual([5000, 0, 10]);
  });

  it('alone end by themselves; excluded columns are nowhere', async () => {
    await db.query('DROP DATABASE IF EXISTS r');
    await table('t', 3);
    await db.query("ALTER TABLE r.t ADD COLUMN secret CHAR(9) DEFAULT 'canary'");
    const config = { snapshot: 'only', exclude_columns: { 'r.t': ['SECRET'] } };
    make('str_only', config).start();
    expect(await stream.outcome()).toBeNull();
    expect(stream.events).toHaveLength(3);
    expect(JSON.stringify(stream.data())).not.toMatch(/canary|secret/);
    stream.start();
    expect(await stream.outcome()).toBeNull();
    expect(stream.events).toHaveLength(3);
    const live = make('str_live', { ...config, snapshot: 'never' });
    live.start();
    await live.begun();
    await db.query('UPDATE r.t SET v = 5 WHERE id = 1');
    await live.count(1);
    expect(live.data()[0]).toMatchObject({ before: { id: 1, v: 0 }, after: { id: 1, v: 5 } });
    expect(JSON.stringify(live.data())).not.toMatch(/canary|secret/);
  });
});
