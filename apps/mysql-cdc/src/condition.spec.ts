import { conditionProblem } from './condition.js';

const named = (...names: string[]) =>
  names.map((name) => ({ name, type: 'int', declared: 'int', charset: null, collation: null, generated: null }));
const users = {
  ...{ schema: 'shop', table: 'users' },
  columns: named('id', 'note', 'state', 'doc', 'at', 'paid_on', 'name', 'from', 'odd `name', 'password_hash', 'year'),
};
const problem = (text: string) => conditionProblem(text, users, new Set(['password_hash', 'year']))?.problem ?? null;

describe('a condition that a user wrote', () => {
  it('is taken where it speaks of columns that the stream reads', () => {
    for (const text of [
      'id > 5',
      "name = 'O''Brien' AND (id OR (note AND state))",
      "`odd ``name` = 'also ( here;-- # /* '",
      "note LIKE 'a%' ESCAPE '|' AND id BETWEEN 1 AND 10",
      "paid_on >= DATE '2025-01-01' AND at < NOW() - INTERVAL 3 DAY",
      'CAST(note AS DECIMAL(10,2)) > 1.5e3 AND id <=> NULL',
      'CASE WHEN id = 0x1F THEN 1 ELSE COALESCE(state, 0) END = 1',
      "doc->>'$.a' = 'x' AND JSON_EXTRACT(doc, '$.b') IS NOT NULL",
      'ID IN (1, 2) AND Note IS NULL',
      '`from` = 1',
    ])
      expect([text, problem(text)]).toEqual([text, null]);
  });

  it.each([
    ['a column that is left out', "password_hash LIKE 'a%'", 'password_hash'],
    ['in other case', "PASSWORD_hash LIKE 'a%'", 'password_hash'],
    ['quoted', "`Password_Hash` LIKE 'a%'", 'Password_Hash'],
    ['of its table', "users.password_hash = 'a'", 'has a .'],
    ['whose name is a keyword', 'year > 2000', 'year'],
    ['a query', 'id IN (SELECT id FROM users)', 'select'],
    ['a word of queries that is a column', 'from = 1', 'from'],
    ['a query for existence', 'EXISTS (SELECT 1)', 'exists'],
    ['a table', 'id IN (TABLE users)', 'table'],
    ['values', 'id IN (VALUES ROW(1))', 'values'],
    ['a way out', 'true) UNION ALL SELECT password_hash FROM users WHERE (true', 'closes nothing'],
    ['another way out', 'true) OR (true', 'closes nothing'],
    ['no end', '(true', 'does not end'],
    ['nothing', ' ', 'does not end'],
    ['another statement', 'true; DROP TABLE users', 'semicolon'],
    ['a string that goes on', "note = 'x", 'does not end'],
    ['an escaped quote', String.raw`note = '\') OR (1 = 1 OR note = '`, 'backslash'],
    ['a string of the other kind', 'note = "x"', 'double quote'],
    ['a comment to the end', 'true -- )', 'comment'],
    ['a comment of the other kind', 'true # )', 'comment'],
    ['a comment that is run', 'true /*! OR 1 */', 'comment'],
    ['a variable', '@@datadir IS NULL', 'variable'],
    ['a file', "LOAD_FILE('/etc/passwd') IS NULL", 'load_file'],
    ['time', 'SLEEP(10) = 0', 'sleep'],
    ['a lock', "GET_LOCK('a', 1)", 'get_lock'],
    ['who asks', "CURRENT_USER = 'root'", 'current_user'],
    ["somebody's own function", 'shop.mine(id)', 'has a .'],
    ["somebody's own, by a space", 'now (id)', 'now'],
    ["somebody's own, quoted", '`lower`(note)', 'lower'],
    ['a column as a function', 'note(id)', 'note'],
    ['work', "BENCHMARK(100000000, MD5('a')) = 0", 'benchmark'],
    ['a type that is none', 'CAST(id AS users)', 'users'],
    ['an assignment', 'id := 5', 'no part'],
    ['a parameter', 'id = ?', 'no part'],
    ['a name behind a number', '1and password_hash', 'digit'],
    ['letters that only the server folds', "näme = 'x'", 'no part'],
    ['a NUL', 'id = 1\0', 'no part'],
    ['a string in another character set', "_binary'x' = note", '_binary'],
    ['a match', "MATCH (note) AGAINST ('x')", 'match'],
  ])('is refused where it has %s', (_, text, said) => {
    expect(problem(text)).toContain(said);
  });
});
