import type { Mysqld } from '@planasonix/testing';
import type { Connection } from 'mysql2/promise';
import { connectionOf, dial, FURTHER_LEGS } from './trial/legs.js';
import { TrialStream } from './trial/trial-stream.js';

const UUID = '00000000-0000-4000-8000-000000000001';
const BYTES = Buffer.from(UUID.replaceAll('-', ''), 'hex').toString('base64');

describe.each(FURTHER_LEGS.filter(({ type }) => type === 'mariadb'))(
  'types that the log of $name has no word for (trap 20)',
  ({ type, start }) => {
    let server: Mysqld;
    let db: Connection;
    let stream: TrialStream;

    beforeAll(async () => {
      server = await start();
      db = await dial(server);
    });
    beforeEach(async () => {
      await db.query('CREATE OR REPLACE DATABASE k; CREATE OR REPLACE DATABASE unread; USE k');
    });
    afterEach(() => stream.stop());
    afterAll(async () => {
      await db.end();
      await server.stop();
    });

    /** A stream that rested while all this was done. */
    async function rested(before: string, statements: readonly string[]): Promise<void> {
      await db.query(`CREATE TABLE kept (id INT PRIMARY KEY); ${before}`);
      stream = new TrialStream('str_k', { tables: ['k.*'], snapshot: 'never' }, connectionOf(server), type);
      stream.start();
      await stream.begun();
      await stream.stop();
      for (const statement of statements) await db.query(statement);
      await db.query('INSERT INTO kept VALUES (1)');
      stream.start();
      await stream.seen('"table":"kept"');
    }
    const told = () => stream.data().flatMap(({ op, after }) => (op === 'c' && after!['id'] !== 1 ? [after] : []));

    it('are told as of the event, whatever became of the table while the stream rested', async () => {
      await rested('', [
        'CREATE TABLE t (id INT PRIMARY KEY, u UUID, n INET4, j JSON, l LONGTEXT CHECK (json_valid(l)), b BINARY(16))',
        `INSERT INTO t VALUES (2, '${UUID}', '1.2.3.4', '[1]', '{"a":1.0}', X'${UUID.replaceAll('-', '')}')`,
        'ALTER TABLE t MODIFY u BINARY(16), MODIFY b UUID, CHANGE n m INET4, RENAME COLUMN j TO k',
        `INSERT INTO t (id, u, b, m, k) VALUES (3, X'${UUID.replaceAll('-', '')}', '${UUID}', '1.2.3.4', '[1]')`,
        'CREATE TABLE copy LIKE t',
        `INSERT INTO copy (id, b) VALUES (4, '${UUID}')`,
        'DROP TABLE t, copy',
        'CREATE TABLE t (id INT PRIMARY KEY, b BINARY(16))',
        `INSERT INTO t VALUES (5, X'${UUID.replaceAll('-', '')}')`,
        'ALTER TABLE t MODIFY b UUID',
      ]);
      expect(told()).toEqual([
        { id: 2, u: UUID, n: '1.2.3.4', j: [1], l: { a: 1 }, b: BYTES },
        { id: 3, u: BYTES, m: '1.2.3.4', k: [1], l: null, b: UUID },
        { id: 4, u: null, m: null, k: null, l: null, b: UUID },
        { id: 5, b: BYTES },
      ]);
      expect(stream.warnings).toEqual([]);
    });

    it('are told of a table that was renamed away, and of the one that came after it', async () => {
      await rested('CREATE TABLE t (id INT PRIMARY KEY, u UUID)', [
        `INSERT INTO t VALUES (2, '${UUID}')`,
        'RENAME TABLE t TO unread.gone, unread.gone TO unread.gone_twice',
        'CREATE TABLE t (id INT PRIMARY KEY, u BINARY(16))',
        `INSERT INTO t VALUES (3, X'${UUID.replaceAll('-', '')}')`,
        'DROP TABLE t',
      ]);
      expect(told()).toEqual([
        { id: 2, u: UUID },
        { id: 3, u: BYTES },
      ]);
      expect(stream.warnings).toEqual([]);
    });

    it('go with a table that gets the name of another', async () => {
      await rested(
        'CREATE TABLE t (id INT PRIMARY KEY, u UUID); CREATE TABLE g (id INT PRIMARY KEY, u BINARY(16), w UUID)',
        [
          'RENAME TABLE t TO old, g TO t',
          `INSERT INTO t VALUES (2, X'${UUID.replaceAll('-', '')}', '${UUID}')`,
          `INSERT INTO old VALUES (3, '${UUID}')`,
          'ALTER TABLE old ADD n INET4, RENAME TO t_of_old',
          `INSERT INTO t_of_old VALUES (4, '${UUID}', '1.2.3.4')`,
          'DROP TABLE t, t_of_old',
        ],
      );
      expect(told()).toEqual([
        { id: 2, u: BYTES, w: UUID },
        { id: 3, u: UUID },
        { id: 4, u: UUID, n: '1.2.3.4' },
      ]);
      expect(stream.warnings.filter(({ message }) => message.includes('gone'))).toEqual([]);
    });

    it('go with a partition that becomes a table, and stay where it changes places with one', async () => {
      const form = '(id INT PRIMARY KEY, u UUID)';
      const parts = 'PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (9), PARTITION p1 VALUES LESS THAN (99))';
      await rested(`CREATE TABLE t ${form} ${parts}; CREATE TABLE x ${form}`, [
        'ALTER TABLE t CONVERT PARTITION p0 TO TABLE y',
        `INSERT INTO y VALUES (102, '${UUID}')`,
        'ALTER TABLE t EXCHANGE PARTITION p1 WITH TABLE x',
        `INSERT INTO t VALUES (13, '${UUID}')`,
        `INSERT INTO x VALUES (4, '${UUID}')`,
        'ALTER TABLE t CONVERT TABLE y TO PARTITION p2 VALUES LESS THAN (999)',
        'CREATE TABLE y (id INT PRIMARY KEY, u BINARY(16))',
        `INSERT INTO y VALUES (5, X'${UUID.replaceAll('-', '')}')`,
        'DROP TABLE t, x, y',
      ]);
      expect(told()).toEqual([
        { id: 102, u: UUID },
        { id: 13, u: UUID },
        { id: 4, u: UUID },
        { id: 5, u: BYTES },
      ]);
      expect(stream.warnings.filter(({ message }) => message.includes('gone'))).toEqual([]);
    });

    it('are said not to be known where nobody can know them', async () => {
      await rested('CREATE TABLE unread.t (id INT PRIMARY KEY, v VARCHAR(9), u UUID)', [
        'CREATE TABLE t LIKE unread.t',
        `INSERT INTO t VALUES (2, 'x', '${UUID}'), (3, 'y', '${UUID}')`,
        'DROP TABLE t',
      ]);
      expect(told()).toEqual([
        { id: 2, v: 'x', u: BYTES },
        { id: 3, v: 'y', u: BYTES },
      ]);
      expect(stream.warnings).toMatchObject([{ fields: { schema: 'k', table: 't', columns: ['u'] } }]);
    });
  },
);
