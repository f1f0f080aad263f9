import { isUtf8 } from 'node:buffer';
import type { Mysqld } from '@planasonix/testing';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import { connectionOf, dial, FURTHER_LEGS, type Leg } from './trial/legs.js';
import { TrialStream } from './trial/trial-stream.js';

interface Odd {
  readonly what: string;
  readonly only?: Leg['type'];
  /** Of a table that has the key `id` besides, unless `key` says another. */
  readonly columns: string;
  readonly key?: string;
  /** Values of the columns. */
  readonly rows: readonly string[];
  readonly after?: readonly string[];
  /** What the rows hold, as text. */
  readonly shows?: readonly string[];
}

const ODD: readonly Odd[] = [
  {
    what: 'a float or double that was declared with digits',
    columns: 'c DOUBLE(20,4), d FLOAT(7,4)',
    rows: ['-1.2611, 1.1', '123456789.12344, -0.0001', '0.30000000001, 99.99999'],
  },
  {
    what: 'a double with digits that is the key',
    columns: 'c DOUBLE(20,4) NOT NULL',
    key: 'c',
    rows: ['-1.2611', '1754.2837', '89513.3306', '0.1'],
  },
  {
    what: 'whole numbers beside the last that a double knows',
    columns: 'c BIGINT, d BIGINT UNSIGNED',
    rows: ['9007199254740991, 9007199254740991', '-9007199254740979, 9007199254740959', '9007199254740993, 1'],
    shows: ['9007199254740991', '-9007199254740979'],
  },
  {
    what: 'every kind of geometry, with where on Earth it is',
    columns: 'c GEOMETRY, p POINT, l LINESTRING, g POLYGON, m MULTIPOINT, n MULTILINESTRING, o MULTIPOLYGON, q GEOMETRYCOLLECTION', // prettier-ignore
    rows: [0, 4326].map((srid) =>
      [
        ...[
          'POINT(1.5 2)',
          'POINT(-1 2)',
          'LINESTRING(0 0,1 1.25)',
          'POLYGON((0 0,0 3,3 3,0 0),(1 2,1.5 2,1.5 1.75,1 2))',
        ],
        ...[
          'MULTIPOINT(0 0,1 1)',
          'MULTILINESTRING((0 0,1 1),(2 2,3 3))',
          'MULTIPOLYGON(((0 0,0 3,3 3,0 0)),((5 5,5 6,6 6,5 5)))',
        ],
        'GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(0 0,1 1))',
      ]
        .map((text) => `ST_GeomFromText('${text}', ${srid})`)
        .join(', '),
    ),
    // A place of 4326 is four bytes before its kind, little end first.
    shows: [Buffer.from([0xe6, 0x10, 0, 0, 1, 1]).toString('base64')],
  },
  {
    what: 'labels of more than two bytes',
    columns:
      "c SET('😀','b','') CHARACTER SET utf8mb4, d ENUM('😀','b') CHARACTER SET utf8mb4, e SET('é','漢') CHARACTER SET utf16",
    rows: ['1, 1, 1', '7, 2, 3', '4, 1, 2', '0, 1, 0', '5, 1, 3'],
    shows: ['["😀"]', '["é","漢"]', '["😀",""]'],
  },
  {
    what: 'JSON of another charset',
    only: 'mariadb',
    columns:
      'c LONGTEXT CHARACTER SET latin1 CHECK (json_valid(c)), d LONGTEXT CHARACTER SET utf16 CHECK (json_valid(d))',
    rows: [`'{"a":"é"}', '{"b":"漢"}'`],
    shows: ['{"a":"é"}', '{"b":"漢"}'],
  },
  {
    what: 'a moment in the first second',
    only: 'mariadb',
    columns: 'c TIMESTAMP(1) NULL, d TIMESTAMP(6) NULL',
    rows: ["'1970-01-01 00:00:00.5', '1970-01-01 00:00:00.000001'", '0, 0'],
    shows: ['1970-01-01T00:00:00.5', '0000-00-00 00:00:00.000000'],
  },
  {
    what: 'half a pair of surrogates, which is no character',
    only: 'mariadb',
    columns:
      'c VARCHAR(9) CHARACTER SET utf8mb3, d VARCHAR(9) CHARACTER SET utf8mb4, e VARCHAR(90) CHARACTER SET utf8mb4, f VARCHAR(9) CHARACTER SET ucs2',
    rows: [
      `CONVERT(X'EDA080' USING utf8mb3), CONVERT(X'61EDBFBF22' USING utf8mb4), CONCAT(REPEAT('x"', 30), CONVERT(X'EDA080ED959C' USING utf8mb4)), CONVERT(X'D83D0061' USING ucs2)`,
      `'한', '한"😀', '한글', '한'`,
    ],
    shows: ['"\\ud800"', '"a\\udfff\\""', '"한\\"😀"', '\\ud800한"', '"\\ud83da"'],
  },
  {
    what: 'halves of pairs that are keys',
    only: 'mariadb',
    columns: 'c VARCHAR(9) CHARACTER SET utf8mb3 COLLATE utf8mb3_bin NOT NULL',
    key: 'c',
    rows: ["CONVERT(X'EDA080' USING utf8mb3)", "CONVERT(X'EDA081' USING utf8mb3)"],
  },
  {
    what: 'text of gb18030 that is a key, and labels of it',
    only: 'mysql',
    columns:
      "c VARCHAR(9) CHARACTER SET gb18030 NOT NULL, d ENUM('é','漢','😀') CHARACTER SET gb18030, e SET('ß','漢') CHARACTER SET gb18030",
    key: 'c',
    rows: ["'中', 'é', 'ß'", "'é', '漢', '漢'", "'😀', '😀', 'ß,漢'", "'a\"中é', NULL, ''"],
    shows: ['"c":"中","d":"é","e":["ß"]', '"c":"😀"', 'a\\"中é'],
  },
  {
    what: 'a year of two digits',
    only: 'mariadb',
    columns: 'c YEAR(2), d YEAR(4)',
    rows: ['99, 1999', '5, 2005', '70, 1970', '69, 2069'],
    shows: ['"c":1999', '"c":2005', '"c":1970', '"c":2069'],
  },
  {
    what: 'a unique key that is too long for an index',
    only: 'mariadb',
    columns: 'c TEXT, d VARCHAR(9), UNIQUE (c)',
    rows: ["'http', 'x'", "'https', 'y'"],
    after: ["UPDATE t SET d = 'z' WHERE id = 1"],
    shows: ['"d":"z"'],
  },
  {
    what: 'a unique key that is a hash, and the only one',
    only: 'mariadb',
    columns: 'c BLOB NOT NULL, UNIQUE (c)',
    key: '',
    rows: ["'t'", "'u'"],
  },
  {
    what: 'columns that bear names of ours',
    columns: '`__proto__` INT, `constructor` INT, `1` INT, `0` INT, `a"b\\c` INT, `é 漢` INT, `__defineGetter__` INT',
    rows: ['1, 2, 3, 4, 5, 6, 7'],
    shows: ['"__proto__":1', '"__defineGetter__":7'],
  },
  {
    what: 'a unique key over what is worked out, and the only one',
    only: 'mysql',
    columns: 'a INT NOT NULL, v INT AS (a * 2) VIRTUAL NOT NULL, UNIQUE (v)',
    key: '',
    rows: ['1, DEFAULT', '2, DEFAULT'],
  },
];

describe.each(FURTHER_LEGS)(
  'odd values of $name have one text from rows and from the log (trap 22)',
  ({ type, start }) => {
    let server: Mysqld;
    let db: Connection;
    let n = 0;
    const streams: TrialStream[] = [];

    beforeAll(async () => {
      server = await start();
      db = await dial(server);
      await db.query("SET SESSION sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'");
    });
    afterEach(() => Promise.all(streams.splice(0).map((one) => one.stop())));
    afterAll(async () => {
      await db.end();
      await server.stop();
    });

    async function schema(): Promise<string> {
      const name = `odd${++n}`;
      await db.query(`CREATE DATABASE ${name} CHARACTER SET utf8mb4; USE ${name}`);
      return name;
    }
    function stream(of: string, config: object): TrialStream {
      const made = new TrialStream(
        `str_${of}_${streams.length}`,
        { tables: [`${of}.t`], ...config },
        connectionOf(server),
        type,
      );
      streams.push(made);
      made.start();
      return made;
    }
    /** Both, as what folds to the same. */
    async function both(of: string, live: TrialStream, changes: number): Promise<string[]> {
      await live.count(changes);
      const once = stream(of, { snapshot: 'only' });
      expect(await once.outcome()).toBeNull();
      for (const { data } of [...live.events, ...once.events]) {
        expect(isUtf8(data)).toBe(true);
        JSON.parse(data.toString());
      }
      const texts = (fold: ReadonlyMap<string, string>) => [...fold].map((one) => one.join(' ')).sort();
      expect(texts(once.fold())).toEqual(texts(live.fold()));
      return texts(live.fold());
    }

    it.each(ODD.filter(({ only }) => only === undefined || only === type))(
      '$what',
      async ({ columns, key = 'id', rows, after = [], shows = [] }) => {
        const of = await schema();
        await db.query(
          `CREATE TABLE t (${key === 'id' ? 'id INT, ' : ''}${columns}${key === '' ? '' : `, PRIMARY KEY (\`${key}\`)`})`,
        );
        const live = stream(of, { snapshot: 'never' });
        await live.begun();
        for (const [i, row] of rows.entries())
          await db.query(`INSERT INTO t VALUES (${key === 'id' ? `${i + 1}, ` : ''}${row})`);
        for (const statement of after) await db.query(statement);
        const found = await both(of, live, rows.length + after.length);
        // Without a key all fold to the last.
        expect(found).toHaveLength(key === '' ? 1 : rows.length);
        for (const text of shows) expect(found.join('\n')).toContain(text);
      },
    );

    it('text in every character set that the server has', async () => {
      const [sets] = await db.query<RowDataPacket[]>(
        'SELECT CHARACTER_SET_NAME AS name, MAXLEN AS bytes FROM information_schema.CHARACTER_SETS ORDER BY 1',
      );
      const known = sets.filter(({ name }) => name !== 'binary');
      expect(known.length).toBeGreaterThan(35);
      const of = await schema();
      const columns = known.map(({ name }) => `\`${name}\` VARCHAR(130) CHARACTER SET ${name}`);
      await db.query(`CREATE TABLE t (id INT PRIMARY KEY, ${columns.join(', ')})`);
      const live = stream(of, { snapshot: 'never' });
      await live.begun();
      const bytes = (from: number, to: number): string =>
        `X'${Buffer.from(Array.from({ length: to - from + 1 }, (_, i) => from + i)).toString('hex')}'`;
      const words = ['Łódź Žlutý ÿ', 'Жяїђ№', 'Ελλάς', 'שלום', '中文漢', '日本ｱ①', '한국', 'ไทย', '€„“', '😀'];
      // All there are of one byte; of others what of these words they have.
      const single = (part: string) =>
        known.map(({ name, bytes }) => (bytes === 1 ? `CONVERT(${part} USING ${name})` : `'~'`));
      await db.query(
        `INSERT IGNORE INTO t VALUES (1, ${single(bytes(0x80, 0xff)).join(', ')}), (2, ${single(bytes(0, 0x7f)).join(', ')})`,
      );
      for (const [i, word] of words.entries())
        await db.query(`INSERT IGNORE INTO t VALUES (${i + 3}, ${known.map(() => `'${word}'`).join(', ')})`);
      const found = await both(of, live, words.length + 2);
      expect(found).toHaveLength(words.length + 2);
      for (const [name, word] of [
        ['latin2', 'Łódź'],
        ['cp1251', 'Жяїђ№'],
        ['greek', 'Ελλάς'],
        ['hebrew', 'שלום'],
        ['gb2312', '中文'],
        ['cp932', '日本ｱ①'],
        ['tis620', 'ไทย'],
        ['cp1250', '€„“'],
        ['utf32', '😀'],
      ])
        expect(found.join('\n')).toContain(`"${name}":"${word}`);
    });

    it('every code of gb18030, also those that are no character', async () => {
      if (type !== 'mysql') return expect(type).toBe('mariadb'); // MariaDB has no gb18030
      const hex = (...codes: readonly number[]): string => Buffer.from(codes).toString('hex');
      const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);
      const [lead, digit] = [range(0x81, 0xfe), range(0x30, 0x39)];
      const two = lead.map((one) => range(0x40, 0xfe).map((trail) => (trail === 0x7f ? '' : hex(one, trail))).join('')); // prettier-ignore
      const four = (first: number): string =>
        digit.map((second) => lead.map((third) => digit.map((last) => hex(first, second, third, last)).join('')).join('')).join(''); // prettier-ignore
      const of = await schema();
      await db.query('CREATE TABLE t (id INT PRIMARY KEY, c MEDIUMTEXT CHARACTER SET gb18030)');
      const live = stream(of, { snapshot: 'never' });
      await live.begun();
      const values = [...two, ...lead.map(four), hex(...range(0, 0x7f))];
      for (const [i, value] of values.entries()) await db.query(`INSERT INTO t VALUES (${i}, X'${value}')`);
      const found = await both(of, live, values.length);
      const characters = new Set(found.join(''));
      for (const character of ['中', 'é', '€', '😀', '\u{10000}', '\u{10ffff}', '\uffff'])
        expect(characters.has(character)).toBe(true);
      expect(characters.size).toBeGreaterThan(0x11_0000 - 3000);
    });

    it('a key that the server made, where its catalog hides it', async () => {
      if (type !== 'mysql') return expect(type).toBe('mariadb'); // MariaDB makes none
      const of = await schema();
      await db.query('SET GLOBAL show_gipk_in_create_table_and_information_schema = OFF');
      await db.query('SET SESSION sql_generate_invisible_primary_key = ON; CREATE TABLE t (a INT)');
      const live = stream(of, { snapshot: 'never' });
      await live.begun();
      await db.query('INSERT INTO t (a) VALUES (7), (8)');
      const found = await both(of, live, 2);
      expect(found[0]).toContain('"my_row_id":1');
      await db.query('SET GLOBAL show_gipk_in_create_table_and_information_schema = ON');
      await db.query('SET SESSION sql_generate_invisible_primary_key = OFF');
    });

    it('columns that are worked out, and which newer servers leave out of changes, can be left out (trap 20)', async () => {
      const of = await schema();
      await db.query('CREATE TABLE t (id INT PRIMARY KEY, a INT, v INT AS (a * 2) VIRTUAL, s INT AS (a * 3) STORED)');
      const live = stream(of, { snapshot: 'never', exclude_columns: { [`${of}.t`]: ['v', 's'] } });
      await live.begun();
      await db.query('INSERT INTO t (id, a) VALUES (1, 1), (2, 2), (3, 3)');
      await db.query('UPDATE t SET a = 5 WHERE id = 1; UPDATE t SET id = 9 WHERE id = 2; DELETE FROM t WHERE id = 3');
      await live.count(7);
      expect([...live.fold().values()].sort()).toEqual(['{"id":1,"a":5}', '{"id":9,"a":2}']);
      const whole = stream(of, { snapshot: 'never' });
      await whole.begun();
      await db.query('UPDATE t SET a = 6 WHERE id = 1');
      await Promise.race([whole.outcome(), whole.count(1)]);
      // Whoever leaves them out is not read wrongly: it is said, with what to do.
      if (whole.failure === null) expect([...whole.fold().values()]).toEqual(['{"id":1,"a":6,"v":12,"s":18}']);
      else
        expect(whole.failure).toMatchObject({
          code: 'row_image_unsupported',
          message: expect.stringContaining('without v, s') as string,
          hint: expect.stringContaining('exclude_columns') as string,
        });
    });
  },
);
