import { eventually, type Mysqld } from '@planasonix/testing';
import { createConnection, type Connection, type RowDataPacket } from 'mysql2/promise';
import { connectionOf, dial, FURTHER_LEGS } from './trial/legs.js';
import { TrialStream } from './trial/trial-stream.js';

describe.each(FURTHER_LEGS)('statements in the log of $name', ({ type, start }) => {
  let server: Mysqld;
  let db: Connection;
  let n = 0;
  const streams: TrialStream[] = [];
  const clients: Connection[] = [];

  beforeAll(async () => {
    server = await start();
    db = await dial(server);
  });
  afterEach(async () => {
    for (const stream of streams.splice(0)) await stream.stop();
    for (const client of clients.splice(0)) await client.end();
  });
  afterAll(async () => {
    await db.end();
    await server.stop();
  });

  /** Who sends his statements in a character set of his own. */
  async function client(charset: string): Promise<Connection> {
    const { host, port, user, password } = server;
    const made = await createConnection({ host, port, user, password, charset, multipleStatements: true });
    clients.push(made);
    return made;
  }

  async function reading(made: string, tables: (schema: string) => string[]): Promise<TrialStream> {
    const of = `d${++n}`;
    await db.query(`CREATE DATABASE ${of} CHARACTER SET utf8mb4; USE ${of}; ${made}`);
    const config = { tables: tables(of), snapshot: 'never' };
    const stream = new TrialStream(`str_${of}`, config, connectionOf(server), type);
    streams.push(stream);
    stream.start();
    await stream.begun();
    return stream;
  }

  const told = (stream: TrialStream) => stream.data().map(({ op, source }) => `${op} ${String(source['table'])}`);

  it.each([
    ['latin1_swedish_ci', 'é'],
    ['sjis_japanese_ci', '表'],
    ['gbk_chinese_ci', '誠'],
    ['big5_chinese_ci', '功'],
    ['cp1251_general_ci', 'Жя'],
    ...(type === 'mysql' ? [['gb18030_chinese_ci', '誠']] : []),
  ])('name tables in the character set of their client: %s', async (charset, table) => {
    const stream = await reading(`CREATE TABLE \`${table}\` (id INT PRIMARY KEY)`, (of) => [`${of}.${table}`]);
    const other = await client(charset);
    await other.query(`USE d${n}; INSERT INTO \`${table}\` VALUES (1); TRUNCATE TABLE \`${table}\``);
    await other.query(`INSERT INTO \`${table}\` VALUES (2); DROP TABLE \`${table}\``);
    await stream.count(4);
    expect(told(stream)).toEqual(['c', 't', 'c', 't'].map((op) => `${op} ${table}`));
  });

  it.each([
    ['half of a character of gbk', 'gbk_chinese_ci', '', "ALTER TABLE t COMMENT '誠', RENAME TO u"],
    ['half of a character of sjis', 'sjis_japanese_ci', '', "ALTER TABLE t COMMENT '表', RENAME TO u"],
    ['a backslash', 'utf8mb4_general_ci', 'NO_BACKSLASH_ESCAPES', String.raw`ALTER TABLE t COMMENT '\', RENAME TO u`],
    ['a backslash in a name', 'utf8mb4_general_ci', 'ANSI_QUOTES', String.raw`ALTER TABLE t ADD "\" INT, RENAME TO u`],
    ['a backslash that escapes', 'utf8mb4_general_ci', '', String.raw`ALTER TABLE t COMMENT 'it\'s', RENAME TO u`],
    ...(type === 'mariadb'
      ? [
          [
            'a backslash that the statement itself makes one',
            'utf8mb4_general_ci',
            '',
            String.raw`SET STATEMENT sql_mode='NO_BACKSLASH_ESCAPES' FOR ALTER TABLE t COMMENT 'it\'s', RENAME TO u`,
          ],
        ]
      : []),
  ])('go on behind %s', async (_, charset, mode, statement) => {
    const stream = await reading('CREATE TABLE t (id INT PRIMARY KEY)', (of) => [`${of}.t`]);
    const other = await client(charset);
    await other.query(`USE d${n}; SET sql_mode = '${mode}'`);
    await other.query(statement);
    await stream.count(1);
    expect(told(stream)).toEqual(['t t']);
  });

  // Only MariaDB has them.
  if (type === 'mariadb')
    it('that alter a table in two phases count once they have come about, and not where they have not', async () => {
      const stream = await reading(
        'CREATE TABLE t (id INT PRIMARY KEY, v INT); CREATE TABLE j (id INT PRIMARY KEY, v JSON)',
        (of) => [`${of}.*`],
      );
      const other = await client('utf8mb4_general_ci');
      await other.query(`USE d${n}; SET binlog_alter_two_phase = ON; INSERT INTO t VALUES (1, 1), (2, 1)`);
      const fails = (how: string): Promise<void> =>
        expect(other.query(`ALTER TABLE t ADD UNIQUE (v), ALGORITHM = COPY, ${how}`)).rejects.toThrow('Duplicate');
      await fails('RENAME TO u');
      await fails('MODIFY id BIGINT');
      await other.query("INSERT INTO t VALUES (3, 3); INSERT INTO j VALUES (1, '[1]')");
      await other.query('ALTER TABLE j ADD w INT DEFAULT 7, ALGORITHM = COPY, RENAME TO k');
      await other.query("INSERT INTO k VALUES (2, '[2]', 8)");
      await stream.seen('"id":2,"v":[2],"w":8');
      await eventually('its rows are read anew', () => stream.fold().size === 5);
      const [[status]] = await other.query<RowDataPacket[]>('SHOW MASTER STATUS');
      const [events] = await other.query<RowDataPacket[]>('SHOW BINLOG EVENTS IN ?', [status!['File']]);
      const seen = events.flatMap(({ Info: info }) => /(?:START|COMMIT|ROLLBACK) ALTER/.exec(String(info)) ?? []);
      expect(seen).toEqual(['START', 'ROLLBACK', 'START', 'ROLLBACK', 'START', 'COMMIT'].map((one) => `${one} ALTER`));
      const ops = told(stream).filter((one) => !one.startsWith('r'));
      expect(ops).toEqual(['c t', 'c t', 'c t', 'c j', 't j', 't k', 'c k']);
    });

  it('that a server words itself name tables in UTF-8, whoever the client is', async () => {
    const stream = await reading(
      'CREATE TABLE `é` (id INT PRIMARY KEY) ENGINE=MEMORY; CREATE TABLE `Ã©` (id INT PRIMARY KEY)',
      (of) => [`${of}.*`],
    );
    await db.query('INSERT INTO `é` VALUES (1); INSERT INTO `Ã©` VALUES (1)');
    await stream.count(2);
    await stream.stop();
    await db.end();
    await server.shutDown();
    await server.start();
    db = await dial(server);
    const other = await client('latin1_swedish_ci');
    await other.query(`SELECT * FROM d${n}.\`é\``);
    await other.query(`CREATE TABLE d${n}.\`è\` SELECT 1 AS id`);
    stream.start();
    await stream.seen('"table":"è"');
    expect(told(stream).slice(2)).toEqual(['t é', 'c è']);
  });
});
