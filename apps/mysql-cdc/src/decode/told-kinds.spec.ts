import { judgeStatement } from './statement.js';
import { kindsAfter, type ToldKinds } from './told-kinds.js';

const reading = { flavor: 'mariadb', charset: 'utf8mb4', escapes: true, ansiQuotes: false } as const;
function told(sql: string): ToldKinds {
  const verdict = judgeStatement(sql, { database: 'shop', reading, named: (bytes) => bytes });
  if (verdict.kind !== 'changed' && verdict.kind !== 'emptied') throw new Error(verdict.kind);
  return verdict.told;
}
const BEFORE = { U: 'uuid', n4: 'inet4', doc: 'json' } as const;
function after(sql: string): object | string {
  const found = told(`ALTER TABLE orders ${sql}`);
  return found.kind === 'altered' ? kindsAfter(BEFORE, found) : found.kind;
}

describe('what a statement says of types that the log has no word for', () => {
  it.each([
    ['(id INT PRIMARY KEY, u UUID NOT NULL DEFAULT UUID(), `n``4` INET4)', { u: 'uuid', 'n`4': 'inet4' }],
    ['(a inet6, b BINARY(16), INDEX uuid (a), KEY `uuid` (b), d DECIMAL(3, 2), e `uuid`)', { a: 'inet6', e: 'uuid' }],
    [
      '(doc JSON DEFAULT NULL CHECK (json_valid(`doc`)), c LONGTEXT CHECK ((JSON_VALID(c))))',
      { doc: 'json', c: 'json' },
    ],
    ['(a LONGTEXT, b LONGTEXT, CONSTRAINT x CHECK (json_valid(a)), CHECK (json_valid(b) = 1))', { a: 'json' }],
    [
      "(a JSON CHECK (a <> ''), b LONGTEXT CHECK (b <> ''), c ENUM('uuid', 'json') COMMENT 'x, y UUID') ENGINE=Aria",
      {},
    ],
  ])('CREATE TABLE orders %s', (columns, expected) => {
    expect(told(`CREATE TABLE orders ${columns}`)).toEqual({ kind: 'made', columns: expected, onlyNew: false });
    expect(told(`CREATE OR REPLACE TABLE orders ${columns}`)).toMatchObject({ columns: expected });
    expect(told(`CREATE TABLE IF NOT EXISTS orders ${columns}`)).toMatchObject({ columns: expected, onlyNew: true });
  });

  it.each([
    ['CREATE TABLE orders LIKE old', { kind: 'like', of: { schema: 'shop', table: 'old' } }],
    ['CREATE TABLE orders (LIKE other.old)', { kind: 'like', of: { schema: 'other', table: 'old' } }],
    ['CREATE TABLE orders SELECT * FROM old', { kind: 'unsaid' }],
    ['CREATE TABLE orders (u UUID) AS SELECT * FROM old', { kind: 'unsaid' }],
    ['CREATE TABLE orders (SELECT * FROM old)', { kind: 'unsaid' }],
    ['CREATE TABLE orders (a TEXT, b JSON AS (a) STORED)', { kind: 'unsaid' }],
    ['TRUNCATE orders', { kind: 'same' }],
    ['DROP TABLE orders', { kind: 'gone' }],
    ['DROP DATABASE shop', { kind: 'gone' }],
  ])('%s', (sql, expected) => {
    expect(told(sql)).toMatchObject(expected);
  });

  const { U, n4, doc } = BEFORE;
  it.each([
    ['ADD INDEX uuid (id), DROP INDEX u2, ENGINE=InnoDB, ORDER BY id, COMMENT "DROP u, DROP n4"', BEFORE],
    ['ADD a UUID, ADD COLUMN b INET6 FIRST, ADD (c INT, d JSON)', { ...BEFORE, a: 'uuid', b: 'inet6', d: 'json' }],
    ['DROP u, DROP COLUMN IF EXISTS n4', { doc }],
    ['MODIFY u BINARY(16), MODIFY COLUMN n4 INET6', { n4: 'inet6', doc }],
    ['CHANGE u v UUID NOT NULL, CHANGE COLUMN n4 w BINARY(4)', { v: 'uuid', doc }],
    ['RENAME COLUMN u TO n4, RENAME COLUMN n4 TO u', { u: n4, n4: U, doc }],
    ['ADD CONSTRAINT x CHECK (json_valid(t)), ALTER u SET DEFAULT UUID()', { ...BEFORE, t: 'json' }],
    ['MODIFY doc LONGTEXT', 'unsaid'],
    ['DROP CONSTRAINT doc', 'unsaid'],
    ['CONVERT TO CHARACTER SET utf8mb4', 'unsaid'],
    ['ADD COLUMN period JSON, ADD system UUID', { ...BEFORE, period: 'json', system: 'uuid' }],
    ['ADD PERIOD FOR p (a, b)', BEFORE],
    ['ADD COLUMN IF NOT EXISTS a UUID', 'unsaid'],
    ['RENAME COLUMN IF EXISTS u TO v', 'unsaid'],
  ])('ALTER TABLE orders %s', (sql, expected) => {
    expect(after(sql)).toEqual(expected);
  });
});
