import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Mysqld } from '@planasonix/testing';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import { connectionOf, dial, FURTHER_LEGS } from './trial/legs.js';
import { TrialStream } from './trial/trial-stream.js';

/** A packet of the protocol holds no more; what is longer comes in several. */
const PACKET = 0xffffff;

describe.each(FURTHER_LEGS)('ways in which rows of $name change', ({ type, start }) => {
  let server: Mysqld;
  let db: Connection;
  let n = 0;
  const streams: TrialStream[] = [];

  beforeAll(async () => {
    server = await start({ config: { secure_file_priv: '' } });
    db = await dial(server);
  });
  afterEach(async () => {
    for (const stream of streams.splice(0)) await stream.stop();
  });
  afterAll(async () => {
    await db.end();
    await server.stop();
  });

  function open(config: object): TrialStream {
    const stream = new TrialStream(`str_d${n}_${streams.length}`, { tables: [`d${n}.*`], ...config }, connectionOf(server), type); // prettier-ignore
    streams.push(stream);
    return stream;
  }
  async function reading(tables: string): Promise<TrialStream> {
    await db.query(`CREATE DATABASE d${++n} CHARACTER SET utf8mb4; USE d${n}; ${tables}`);
    const stream = open({ snapshot: 'never' });
    stream.start();
    await stream.begun();
    return stream;
  }
  const told = (stream: TrialStream): string[] =>
    stream.data().map(({ op, before, after, source }) => {
      const row = after ?? before;
      return `${op} ${String(source['table'])}${row === null ? '' : ` ${Object.values(row).map(String).join(',')}`}`;
    });

  it('rows of 16 MB and more, at the very size of a packet too', async () => {
    const stream = await reading('CREATE TABLE t (id INT PRIMARY KEY, v LONGTEXT CHARACTER SET latin1)');
    await db.query("INSERT INTO t VALUES (0, '')");
    const [[status]] = await db.query<RowDataPacket[]>(
      type === 'mysql' ? 'SHOW BINARY LOG STATUS' : 'SHOW MASTER STATUS',
    );
    const [events] = await db.query<RowDataPacket[]>(`SHOW BINLOG EVENTS IN '${String(status!['File'])}'`);
    const empty = events.findLast((one) => /^Write_rows/.test(String(one['Event_type'])))!;
    // With the byte that says that an event follows, the packet is full.
    const full = PACKET - 1 - (Number(empty['End_log_pos']) - Number(empty['Pos']));
    const sizes = [full - 1, full, full + 1, 2 * PACKET + 5];
    for (const [i, size] of sizes.entries()) await db.query(`INSERT INTO t VALUES (${i + 1}, REPEAT('x', ${size}))`);
    await db.query("UPDATE t SET v = CONCAT(v, 'end') WHERE id = 2");
    await stream.count(6);
    const length = ({ after }: { after: Readonly<Record<string, unknown>> | null }) => String(after!['v']).length;
    expect(stream.data().map(length)).toEqual([0, ...sizes, full + 3]);
    const { before, after } = stream.data().at(-1)!;
    expect(`${String(before!['v'])}end`).toBe(after!['v']);
    await stream.stop();
    const once = open({ snapshot: 'only' });
    once.start();
    expect(await once.outcome()).toBeNull();
    expect(once.fold()).toEqual(stream.fold());
  });

  it('a sequence is no table, also once its forms are forgotten', async () => {
    if (type === 'mysql') return expect(type).toBe('mysql'); // it has none
    const stream = await reading('CREATE TABLE t (id INT PRIMARY KEY); CREATE SEQUENCE s CACHE 1');
    for (const change of ['ALTER TABLE t ADD v INT', 'ALTER TABLE t ADD w INT'])
      await db.query(`DO NEXTVAL(s); DO NEXTVAL(s); ${change}; DO NEXTVAL(s); DO NEXTVAL(s)`);
    await db.query('INSERT INTO t VALUES (1, 2, 3)');
    await stream.count(1);
    expect(told(stream)).toEqual(['c t 1,2,3']);
  });

  it('LOAD DATA', async () => {
    const stream = await reading('CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20), w INT DEFAULT 7)');
    const file = join(server.dir, 'rows.csv');
    writeFileSync(file, '1,"a, ""b"""\n2,é\n3,\\N\n', { mode: 0o644 });
    const how = "CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' (id, v)";
    await db.query(`LOAD DATA INFILE '${file}' INTO TABLE t ${how}`);
    writeFileSync(file, '2,other\n', { mode: 0o644 });
    await db.query(`LOAD DATA INFILE '${file}' REPLACE INTO TABLE t ${how}`);
    await stream.seen('other');
    expect([...stream.fold().values()]).toEqual([
      '{"id":1,"v":"a, \\"b\\"","w":7}',
      '{"id":2,"v":"other","w":7}',
      '{"id":3,"v":null,"w":7}',
    ]);
  });

  it('columns that become others while they are read', async () => {
    const stream = await reading('CREATE TABLE t (id INT PRIMARY KEY, v INT)');
    const types: [string, string, unknown][] = [
      ['BIGINT UNSIGNED', '18446744073709551615', '18446744073709551615'],
      ['DECIMAL(30,10)', '1.50', '1.5000000000'],
      ['VARCHAR(40) CHARACTER SET latin1', "'é'", 'é'],
      ['VARCHAR(40) CHARACTER SET utf16', "'漢'", '漢'],
      ["ENUM('a','é')", "'é'", 'é'],
      ['DATETIME(3)', "'2024-02-29 12:00:00.125'", '2024-02-29T12:00:00.125'],
    ];
    await db.query('INSERT INTO t VALUES (0, -5)');
    for (const [i, [declared, value]] of types.entries())
      await db.query(`DELETE FROM t; ALTER TABLE t MODIFY v ${declared}; INSERT INTO t VALUES (${i + 1}, ${value})`);
    await stream.count(1 + 2 * types.length);
    const inserted = stream.events.filter(({ data }) => data.includes('"op":"c"'));
    expect(inserted.map(({ data }) => /"v":"?([^",}]*)/.exec(data.toString())![1])).toEqual([
      '-5',
      ...types.map(([, , text]) => text),
    ]);
    // What goes is told as it was, not as it would be now.
    expect(stream.data().find(({ op }) => op === 'd')).toMatchObject({ before: { id: 0, v: -5 } });
  });

  it('savepoints, beside tables that know none, after which the log holds what was taken back (trap 18)', async () => {
    const stream = await reading(
      'CREATE TABLE a (id INT PRIMARY KEY); CREATE TABLE m (id INT PRIMARY KEY) ENGINE=MyISAM',
    );
    // MySQL with GTIDs refuses both in one transaction.
    const mixed = (id: number): string => (type === 'mariadb' ? `INSERT INTO m VALUES (${id});` : '');
    await db.query(`START TRANSACTION; ${mixed(1)} INSERT INTO a VALUES (1); SAVEPOINT s; INSERT INTO a VALUES (2); ${mixed(2)} SAVEPOINT u;
      INSERT INTO a VALUES (3); ROLLBACK TO u; INSERT INTO a VALUES (4); ROLLBACK TO S; INSERT INTO a VALUES (5); RELEASE SAVEPOINT s; COMMIT;
      START TRANSACTION; INSERT INTO a VALUES (6); ${mixed(6)} ROLLBACK; INSERT INTO a VALUES (9)`);
    await stream.seen('"id":9');
    const all = told(stream);
    expect(all.filter((one) => one.startsWith('c a'))).toEqual(['c a 1', 'c a 5', 'c a 9']);
    expect(all.filter((one) => one.startsWith('c m'))).toEqual(type === 'mariadb' ? ['c m 1', 'c m 2', 'c m 6'] : []);
    expect(new Set(stream.events.map(({ id }) => id)).size).toBe(all.length);
  });

  if (type === 'mariadb')
    it('not what was taken back behind a half that was told already (trap 19)', async () => {
      const stream = await reading(
        'CREATE TABLE a (id INT PRIMARY KEY, v INT); CREATE TABLE m (id INT PRIMARY KEY) ENGINE=MyISAM',
      );
      const rows = (from: number): string => Array.from({ length: 1500 }, (_, i) => `(${from + i}, 0)`).join(',');
      await db.query(`START TRANSACTION; INSERT INTO a VALUES ${rows(0)}; SAVEPOINT s; INSERT INTO a VALUES ${rows(5000)};
        INSERT INTO m VALUES (1); ROLLBACK TO s; COMMIT`);
      expect(await stream.outcome()).toMatchObject({
        code: 'event_unsupported',
        message: expect.stringContaining('rolled back in part') as string,
      });
    });

  it('cascades, where the server logs them', async () => {
    const stream = await reading(
      `CREATE TABLE p (id INT PRIMARY KEY); CREATE TABLE c (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE);
       CREATE TABLE s (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id) ON DELETE SET NULL)`,
    );
    await db.query('INSERT INTO p VALUES (1), (2); INSERT INTO c VALUES (1, 1), (2, 2); INSERT INTO s VALUES (1, 1)');
    await db.query('DELETE FROM p WHERE id = 1; INSERT INTO p VALUES (9)');
    await stream.seen('"id":9');
    const cascaded = told(stream).slice(5, -1).sort();
    // MySQL from 9.6 on does; the preflight warns of all others.
    expect(cascaded).toEqual(type === 'mysql' ? ['d c 1,1', 'd p 1', 'u s 1,null'] : ['d p 1']);
    const checks = await stream.check();
    expect(checks.some(({ code }) => code === 'cascades')).toBe(type === 'mariadb');
  });

  it('rows of files that others bring, after which all rows are read anew', async () => {
    const stream = await reading('CREATE TABLE q (id INT PRIMARY KEY, v INT); CREATE TABLE p LIKE q');
    await db.query('INSERT INTO p VALUES (1, 1), (20, 1); INSERT INTO q VALUES (2, 2)');
    await stream.count(3);
    await db.query(
      'ALTER TABLE q DISCARD TABLESPACE; DROP TABLE q; CREATE TABLE q LIKE p; INSERT INTO q VALUES (3, 3)',
    );
    expect(await stream.outcome()).toMatchObject({
      code: 'offset_gap',
      message: expect.stringContaining('DISCARD TABLESPACE') as string,
    });
    expect(stream.events).toHaveLength(3);
    stream.start('resnapshot');
    await stream.begun();
    await db.query('UPDATE q SET v = 5');
    await stream.seen('"v":5');
    const rows = [...stream.fold()].map(([key, row]) => `${key.split(' ')[0]!.split('.')[1]!} ${row}`);
    expect(rows.sort()).toEqual(['p {"id":1,"v":1}', 'p {"id":20,"v":1}', 'q {"id":3,"v":5}']);
  });

  it('while the log is thrown away behind the reader, and before it as far as the server lets that happen', async () => {
    await reading('CREATE TABLE t (id INT PRIMARY KEY)');
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    const slow = open({ snapshot: 'never' });
    slow.start(null, () => (slow.events.length > 0 ? gate : undefined));
    await slow.begun();
    await db.query('INSERT INTO t VALUES (0)');
    await slow.count(1);
    for (let id = 1; id <= 4; id++) await db.query(`INSERT INTO t VALUES (${id}); FLUSH BINARY LOGS`);
    const files = async () => {
      const [rows] = await db.query<RowDataPacket[]>('SHOW BINARY LOGS');
      return rows.map((row) => String(row['Log_name']));
    };
    const before = await files();
    await db.query(`PURGE BINARY LOGS TO '${before.at(-1)!}'`);
    release();
    await slow.count(5);
    expect(slow.data().map(({ after }) => after!['id'])).toEqual([0, 1, 2, 3, 4]);
    expect(slow.failure).toBeNull();
  });

  it.each(['NOBLOB', 'MINIMAL'])('not as images of which columns are missing: %s', async (image) => {
    const stream = await reading(
      "CREATE TABLE t (id INT PRIMARY KEY, v INT, b TEXT); INSERT INTO t VALUES (1, 1, 'x')",
    );
    await db.query(`SET SESSION binlog_row_image = ${image}; UPDATE t SET v = 2; SET SESSION binlog_row_image = FULL`);
    expect(await stream.outcome()).toMatchObject({ code: 'row_image_unsupported' });
    expect(stream.events).toEqual([]);
  });
});
